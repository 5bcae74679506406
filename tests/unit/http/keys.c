/* Keys that other programs made (openssl genpkey); they open nothing. */
#include <stddef.h>

#include "tests/unit/http/keys.h"

/* clang-format off */
const struct foreign_key foreign_keys[] = {
	{ "RSA in PKCS #8",
	  "-----BEGIN PRIVATE KEY-----\n"
	  "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDEEzivHDIYNJmU\n"
	  "IOzhLnyeHfd1qaCkC+Rdme1wO/A/KSZvSjqW60NV8ytwVUsNtdeX+VzOfB35P0sl\n"
	  "D5DCwGx0jsMFyJTsH7qQUFb06vIjTAWdygTGLxbOgpvEXyQkb8qFqjoQHch0hlb7\n"
	  "9F1f/jDEkpWun7HLRO4xTKvcBNmvlnuMD63QqqFnFUkzRTTTdYjOepToJzPx3FFs\n"
	  "u728Sp8HTXolyBqWGYpA4S7b6CqpC9aI9LwcL/9Eh7F4iOl0O07XiqWkROXBu3ni\n"
	  "5x1pJOTayLJQ+NC/Mk6+ZqIzwV5xqu2C6H4vhj/UdkERZYjQYM8lNSHD4Y4ZZKCR\n"
	  "9GCIV3KlAgMBAAECggEAMKFt0Symlg9RugYSimUrvlHDYvj/4UAb00VOuSP8mcW8\n"
	  "hSS9dFoEeOhXcUSOWWetAcH0zTfGfV+/5QC/0DXGkIAqCaCuowPZk1qBvrwY8z0z\n"
	  "NWf6GCdsuip1tNY+EhVx/wXx4bZpVdFN+K6qjBjxAogyvL1Z7Qb7JtoT0/2V+jDi\n"
	  "q16v7h048Orjf1wHdEdex/sT2IVOvN2COQseFJJOlBOAhzKszFXdLW69coddQqe+\n"
	  "jnqdPv5hywf6waoox6s8KykhVZYhoD4bA/xg4ba3wiYRx9EXqingK/3mFMjc1xcA\n"
	  "m97L5eACsE/8zb2stg+0uUwEUS/Kl1kZmzvu1zMRfwKBgQDwIZlVUBktxIR/0cgC\n"
	  "otcwJD+CKp5nHUeN1Qe+WVaZ4J4gUivb2LhZQ1QraasyKqPIclUeKDgpFh000s4Q\n"
	  "qug8pLGVg5GyvSv9QZFW4AUg2q4p1pdSjpULgLw0DDgYkjR9oJLUGwUE2CCNLb6v\n"
	  "ekTGxiX8VFO0MRY4m1T7ia5yBwKBgQDRCE5OSK/EwidicjbuwvMkAEO4720j0+xy\n"
	  "qb0hXvZlW9KMoZxCyYcfsV0vJZagwMpcJ7F5LyMMeJ2IybgBQeb+KLdd91Wi2Vkf\n"
	  "mLjFYGj8RH2ZNrMNSybMMU8lJxaXUnXBtmsui9sYkWafqc/ml/2ry7oQ0wi1Y9uj\n"
	  "7Jz70U+a8wKBgCyB3bytSu1rti9Gv66VZhMbNNY4dgGgsKl+KaBDSMTemBBfipeF\n"
	  "9K0+yHP/cuaqdo7pehNL2xTqb2FiDSWTt9W9pNiUeUXKwEOBiqGyheDQB2Xjy0pW\n"
	  "+RMXukpfVWpgdvAt+ejsVSLPuEDSkLxPij3ZbiL1skn8qyS0zayNmVKzAoGBAIgF\n"
	  "VZ9PYUEx7hr7o49ewIUOvwLamjSUNOqwVWgfuUpfo/TrPRmgthMDgVWqqgfVLFkn\n"
	  "Yy8uYyo8WpamXNxEnCGLMTcuOUWNFZef86xMfkSZ9Pj8RStDWe3JsGzGsMarXAE/\n"
	  "ySMy0tF73EHNaIHvKZzfJybHjIUsg8J5t/WNULXNAoGAAbzJFg/LzBNC0RHl5c+m\n"
	  "qTJguZPI2IOeKGGCOJQA2J06Mq9rd99Erl4GXGfFjKpUdvH0Yyz9rYElFyJ7d6I3\n"
	  "uvE/Cp1ALRQhpHqPmWIIzW2m36IoW6QLvEVBAwywxtWqpFtUKqyPlVm2vrc4aEd5\n"
	  "0MhQpYvTXe9dONsyBPzQqIM=\n"
	  "-----END PRIVATE KEY-----\n", false },
	{ "RSA in PKCS #1",
	  "-----BEGIN RSA PRIVATE KEY-----\n"
	  "MIIEpAIBAAKCAQEAxFC0qU65TTwf8aFrSjX7EgCOLh6fvhlOz8R5AGobiTUoFdvt\n"
	  "13HfZ/1Hfhe4QXet0x9UbYU+qswLvT9sExI8/3hITZCxVQ0CzHOW3oYbfWkywaqy\n"
	  "58junQMRu2fUJa58YMmTWXkidRgayNB7/EhgIMOrKCc/o62JswpHz3isHoSfatR9\n"
	  "ErCA42yBMW+gA8DhY26EFdjQGNJWT/427Nu7NyZHk+1Rgeo1Qoe+rL0/AKlRQyY4\n"
	  "WCsMmI430KFc+evLRtdgoyQ4WVOCxm/GVLmlWVHD01LCs2hgWQedwqibajKZ/QdA\n"
	  "6WNDNb8030wv91dKIZrxN/9Pu0SPYeqwCilWVwIDAQABAoIBAFmXj2t5Hv4Ng3KN\n"
	  "vV4n1oY3tKt9lF94Q0x0mNhElH6AwOOA9EGPmWpm37q+7nsKOE0SjkBRP/FIn87l\n"
	  "Y9gsSaQ5a53ie9uZzX4q/l5di6wnV1+lHHLFc4g6f1wsnVf5EpBFTjbWHpCbyJV+\n"
	  "+CaBjUVGpxTzHIsBRsdr2KvpoXtnNIRHD2Y33UJ+LVJVvH2tpqmdp3fhnXh1jsyL\n"
	  "hETSYqdmgm6FJCV2AyINhm8WLns8+xj1X/OaHN+WKr1RwUDtVZ6icWo824Q8fI87\n"
	  "dQCfwE9HakuV2653iJAeFq1dQcFcljltq/xqcDmxASn9jy6Fa8Ecz3WOV6eYm5mH\n"
	  "NTXAUzECgYEA5MP0NJ5UsYCbOnTSfGcMGSwmnVVwxsxlAHkjKaXY+LdrCskbhIR4\n"
	  "Y6YuBE115yZbTNmEvdVf9N5mwse/cokuFkUWifsxXkwdB7wnHtwVAB0wj1ilt9A1\n"
	  "e3eULG1p74qEFCqGDpwQ48H72fZoiNqJtBMsuEZlytdGQxteKPfgYJ8CgYEA26/F\n"
	  "2JuZyt0Xg/cxcpFur+WN0lDi+HHUuroRbA9lOvs/y/afARF0czFNY9C6FZDjQRcJ\n"
	  "v6li+10+HF+TSzKJHTMN5b2B1kAfnKep184O+DeNhstAeWBtk4tu2R6AB3YkhlXx\n"
	  "Lsq+/k/HIYlr1plK+j0FxLj0uaRerrkzzd/Ql0kCgYEAmq8NP08YAXXugFZhxRCA\n"
	  "k7zQ123gdevbF7jRV+X2kiaj0IUvgCl6phbF4s7lvEipT4t9QEc5PP/tCCO8hhvP\n"
	  "9+r7VI1vUk2xC3vkD+/Mm2khXqwYUfQNVdEDdg79pKVKrcAbKWHJ4ddXDoiZIoBy\n"
	  "wDp+8JNZXRC3R8UHpDgHlg0CgYBKDEM5sajy8fbdKlLmdRLEAzH8c/stFuFHVzRM\n"
	  "IhxS9yEX1Lbfm0yPD00wmcg/QKj45ZUJn0SXyWQIGEcDj7MbvnuutmOvHcoJ+ZGM\n"
	  "Bg6Rp9fyWUwQHWqR0uu4D0nEOhQxm4JB7WDXQ3ixWyqYGO9mzW7GUjla4YZwikhl\n"
	  "2kzq0QKBgQCC42SNT4KC+m1rdafeb7ub0JRgSYrc/4IhPNdSRTbwkLetXK96VFAr\n"
	  "LybBZ8zPuYqmJ9WB/dAqkDzfMYRrTbP2PRsF/sWZW7uynapN9wwu8CT9D31ipSGx\n"
	  "5yxDmE4qmC6tc/zBMzxJPf/4ZZUh3Ovbdz3TXD18xCnjUZRQFfPDaQ==\n"
	  "-----END RSA PRIVATE KEY-----\n", false },
	{ "P-224 in PKCS #8",
	  "-----BEGIN PRIVATE KEY-----\n"
	  "MHgCAQAwEAYHKoZIzj0CAQYFK4EEACEEYTBfAgEBBBy6Ir8Vy+r404MOb+Z+pYl/\n"
	  "G8Jr7ELg2Cbor/qPoTwDOgAEmfRwpsTK3PXVcGGMceCrTq/+ls8A9NjVawmZk/Ni\n"
	  "pH82S65zRU3yQCLOeoHjI2iQO+6GVALJxPQ=\n"
	  "-----END PRIVATE KEY-----\n",
	  true },
	{ "P-256 in PKCS #8",
	  "-----BEGIN PRIVATE KEY-----\n"
	  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkb1D95xEnQ0w6FYK\n"
	  "EqcwMUwrvXyWEIZF66fGazgPgNuhRANCAASxF7jYBhruF2/7tplP2mCqpIGOl2mC\n"
	  "ppCNoawix7rmIzHbgEP6EKhOqhlPGIYIhyMLOZQTLwV5oUnwbBC9QDc9\n"
	  "-----END PRIVATE KEY-----\n", false },
	{ "P-256 in SEC 1",
	  "-----BEGIN EC PRIVATE KEY-----\n"
	  "MHcCAQEEILGQZlM5ymrDdWc96gMvBR3RY2SA06WQfEoS0x1+NfE3oAoGCCqGSM49\n"
	  "AwEHoUQDQgAEjFotlsBoFlFBw49v7QEnQ+nMTeLsX9YOo8L/F3k15fNj85oQVMGT\n"
	  "hKca3euiu6klhu4ou86BXl49KKLaM4M5YA==\n"
	  "-----END EC PRIVATE KEY-----\n", false },
	{ "P-384 in PKCS #8",
	  "-----BEGIN PRIVATE KEY-----\n"
	  "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDAZ+udfpUqXHdd+i0lR\n"
	  "e+LPRHYn/axPvgs9UYBtsG912j6xtbO9Yf5I07vgbgsvomihZANiAAQklk1pOyMQ\n"
	  "UgeMWhopuXPZL4Jrm32tKOMhlTB/udXYM4eCbPgVaJ4E/EC3iFUk4TnOhEWFuhsI\n"
	  "hzUoL9rP6Q0v+dG9FqyHT1KqIW14zZT7TDrHuXTMCYlkd6jVYA8FoCk=\n"
	  "-----END PRIVATE KEY-----\n", false },
	{ "P-521 in PKCS #8",
	  "-----BEGIN PRIVATE KEY-----\n"
	  "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAajSDppl2iUY3zo75\n"
	  "s6XBhwbSCycT8SsOw3XnEIC4HC155UARQ3fUat2Eg1yEbPiyXfGRmeQ4M6pDm4pT\n"
	  "OX5AogqhgYkDgYYABACScIN7/hPYge2Xr3OVHdnd3izgBbxSscIEiuCg0wtoIlzk\n"
	  "O8lKyvfT10HgRkQ9WrkcuSxdSqWjQ6MF0a5o5EwBpwHa3tIfEaS/pMnCiCBGxbFS\n"
	  "ye2+j/DjNjH8p8dSTOYSmQH1NdbWvWNEvWIJoNhknYRK8AcTlz8dlxowKuPt9W5e\n"
	  "Rg==\n"
	  "-----END PRIVATE KEY-----\n", false },
	{ "Ed25519",
	  "-----BEGIN PRIVATE KEY-----\n"
	  "MC4CAQAwBQYDK2VwBCIEIFmFZiRglPuEW51gHPRJ2YK5w08yfXUJ85oe6myKSeA8\n"
	  "-----END PRIVATE KEY-----\n", false },
	{ NULL, NULL, false },
};

const char foreign_key_of_ed448[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MEcCAQAwBQYDK2VxBDsEORUzbSBQUR1XW3b5aprGQ9aKXBi1wwNXt9+1/Yq4g93L\n"
	"c7k8zKj8hSjBNMHDbbOBQB46jQY5qnIcDQ==\n"
	"-----END PRIVATE KEY-----\n";
