#include "cmd/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/files.h"

#define CA_DAYS   3650
#define LEAF_DAYS 366

static struct error *load_key(const char *path, struct pki_key **out)
{
	AUTO_BUF struct buf pem = { 0 };
	struct error *err = files_read(path, &pem);

	if (err != NULL && err->kind == ERR_NOT_FOUND) {
		error_free(err);
		err = pki_key_new(out);
		if (err != NULL)
			return err;
		pki_key_format(*out, &pem);
		return files_write(path, buf_str(&pem), 0600);
	}
	return err != NULL ? err : pki_key_parse(buf_str(&pem), out);
}

static struct error *load_ca(const char *path, struct cluster_pki *pki)
{
	struct error *err = files_read(path, &pki->ca_pem);

	if (err == NULL)
		return pki_cert_parse(buf_str(&pki->ca_pem), &pki->ca);
	if (err->kind != ERR_NOT_FOUND)
		return err;
	error_free(err);
	err = pki_issue(&(struct pki_request){ .key = pki->ca_key, .common_name = "monokube-ca", .ca = true, .days = CA_DAYS },
			&pki->ca);
	if (err != NULL)
		return err;
	pki_cert_format(pki->ca, &pki->ca_pem);
	return files_write(path, buf_str(&pki->ca_pem), 0644);
}

static struct error *mint(struct cluster_pki *pki, const struct pki_request *request, struct pki_key **key, struct pki_cert **cert,
			  struct buf *cert_pem, struct buf *key_pem)
{
	struct pki_request full = *request;
	struct error *err = pki_key_new(key);

	full.key = *key;
	full.issuer = pki->ca;
	full.issuer_key = pki->ca_key;
	full.days = LEAF_DAYS;
	if (err == NULL)
		err = pki_issue(&full, cert);
	if (err != NULL)
		return err;
	pki_cert_format(*cert, cert_pem);
	pki_key_format(*key, key_pem);
	return NULL;
}

struct error *cluster_pki_open(const struct cluster_pki_options *options, struct cluster_pki *pki)
{
	static const char *const masters[] = { "system:masters", NULL };
	char path[4096];
	struct error *err = files_mkdir(options->dir, 0700);

	*pki = (struct cluster_pki){ 0 };
	snprintf(path, sizeof(path), "%s/ca.key", options->dir);
	if (err == NULL)
		err = load_key(path, &pki->ca_key);
	snprintf(path, sizeof(path), "%s/ca.crt", options->dir);
	if (err == NULL)
		err = load_ca(path, pki);
	snprintf(path, sizeof(path), "%s/sa.key", options->dir);
	if (err == NULL)
		err = load_key(path, &pki->token_key);
	if (err == NULL)
		err = mint(pki,
			   &(struct pki_request){
				   .common_name = "kube-apiserver", .dns = options->dns, .ips = options->ips, .server = true },
			   &pki->server_key, &pki->server, &pki->server_pem, &pki->server_key_pem);
	if (err == NULL)
		err = mint(pki, &(struct pki_request){ .common_name = "kubernetes-admin", .orgs = masters, .client = true },
			   &pki->admin_key, &pki->admin, &pki->admin_pem, &pki->admin_key_pem);
	return err != NULL ? error_context(err, "keys and certificates in %s", options->dir) : NULL;
}

void cluster_pki_fini(struct cluster_pki *pki)
{
	pki_key_free(pki->ca_key);
	pki_key_free(pki->token_key);
	pki_key_free(pki->server_key);
	pki_key_free(pki->admin_key);
	pki_cert_free(pki->ca);
	pki_cert_free(pki->server);
	pki_cert_free(pki->admin);
	buf_fini(&pki->ca_pem);
	buf_fini(&pki->server_pem);
	buf_fini(&pki->server_key_pem);
	buf_fini(&pki->admin_pem);
	buf_fini(&pki->admin_key_pem);
}
