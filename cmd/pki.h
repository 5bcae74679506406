/* Keys and certificates of one cluster, in DIR/pki. The CA and the token key are made once; what they sign is minted anew
 * at every start, so nothing a user has ever runs out (and the CA lasts ten years). Private to cmd. */
#ifndef CMD_PKI_H
#define CMD_PKI_H

#include "http/http.h"

struct cluster_pki {
	struct pki_key *ca_key, *token_key, *server_key, *admin_key;
	struct pki_cert *ca, *server, *admin;
	struct buf ca_pem, server_pem, server_key_pem, admin_pem, admin_key_pem;
};

struct cluster_pki_options {
	const char *dir;        /* …/pki; made if missing */
	const char *const *dns; /* names of the API server, NULL-terminated */
	const char *const *ips;
};

struct error *cluster_pki_open(const struct cluster_pki_options *options, struct cluster_pki *out) MUST_CHECK;
void cluster_pki_fini(struct cluster_pki *pki);

#endif
