/* Places of addresses, from a MaxMind DB handed over as octets (control/geoip.mmdb).  Known layouts: country.iso_code, registered_country.iso_code,
 * country_code, or country as plain text; autonomous_system_number, asn; location.latitude, .longitude, .accuracy_radius; city.names.en, city. */
#ifndef POSTERN_SKIM_GEO_H
#define POSTERN_SKIM_GEO_H
#include "skim/config.h"

#define CITY_MAX 24
struct place {
	country country;           /* 0: unknown */
	uint16_t radius_km;
	int16_t latitude, longitude; /* hundredths of a degree */
	uint32_t asn;              /* 0: unknown */
	bool located;
	unsigned char kinds;       /* bits 1 << enum net_kind */
	char city[CITY_MAX];       /* "" unknown; printable */
};

struct geo;
/* Open the database in CONTENT (not kept); an empty one: *OUT is NULL.  0; E_SYNTAX (no MaxMind DB, with the reason), E_SYS.
 * Reads /proc/self/fd once. */
MUST_CHECK int geo_open(struct geo **out, struct slice content, struct err *e);
void geo_close(struct geo *g);
/* Where IP is, as GEO (may be NULL) and the networks of CFG say.  Where the database has no position, the middle of the country and its radius stand in. */
void geo_find(struct place *out, const struct geo *g, const struct skim_config *cfg, const struct ip *ip);
/* The least distance between two located places, kilometres, both radii taken off; 0 where one is not located. */
long geo_distance_km(const struct place *a, const struct place *b);
/* For the lint: open and close. */
MUST_CHECK int geo_check(const struct control *c, struct err *e);

/* The middle of a country and the radius of a circle around all but its far islands: true when it is known (skim/countries.c). */
bool country_position(int16_t *latitude, int16_t *longitude, uint16_t *radius_km, country cc);
/* "DE"; "" for 0. */
void country_text(char text[3], country cc);
#endif
