/* Places of addresses: see geo.h.  The database comes from the administrator; its texts go into messages for people, so they are made printable.
 * libmaxminddb reads files alone: the octets are put into a memfd that it opens by its name in /proc. */
#include "skim/geo.h"

#include <math.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/io.h"

struct geo {
	MMDB_s db;
};

int geo_open(struct geo **out, struct slice content, struct err *e)
{
	char path[40];
	*out = NULL;
	if (content.n == 0)
		return 0;
	int fd = memfd_with("geoip.mmdb", content, e);
	if (fd < 0)
		return fd;
	struct geo *g = calloc(1, sizeof *g);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int rc = g ? MMDB_open(path, MMDB_MODE_MMAP, &g->db) : MMDB_OUT_OF_MEMORY_ERROR;
	close_fd(&fd);
	if (rc == MMDB_SUCCESS) {
		*out = g;
		return 0;
	}
	free(g);
	return err_set(e, rc == MMDB_OUT_OF_MEMORY_ERROR || rc == MMDB_IO_ERROR ? E_SYS : E_SYNTAX, "not a MaxMind DB that can be read: %s", MMDB_strerror(rc));
}

void geo_close(struct geo *g)
{
	if (g)
		MMDB_close(&g->db);
	free(g);
}

static bool value(MMDB_entry_data_s *d, MMDB_entry_s *entry, unsigned type, const char *const *path)
{
	return MMDB_aget_value(entry, d, path) == MMDB_SUCCESS && d->has_data && d->type == type;
}
#define PATH(...) ((const char *const[]){__VA_ARGS__, NULL})

static country find_country(MMDB_entry_s *entry)
{
	MMDB_entry_data_s d;
	if (!value(&d, entry, MMDB_DATA_TYPE_UTF8_STRING, PATH("country", "iso_code")) &&
		!value(&d, entry, MMDB_DATA_TYPE_UTF8_STRING, PATH("country_code")) &&
		!value(&d, entry, MMDB_DATA_TYPE_UTF8_STRING, PATH("country")) &&
		!value(&d, entry, MMDB_DATA_TYPE_UTF8_STRING, PATH("registered_country", "iso_code")))
		return 0;
	if (d.data_size != 2 || d.utf8_string[0] < 'A' || d.utf8_string[0] > 'Z' || d.utf8_string[1] < '0' || d.utf8_string[1] > 'Z')
		return 0;
	return country_code(d.utf8_string[0], d.utf8_string[1]);
}

static uint32_t find_asn(MMDB_entry_s *entry)
{
	MMDB_entry_data_s d;
	if (value(&d, entry, MMDB_DATA_TYPE_UINT32, PATH("autonomous_system_number")) || value(&d, entry, MMDB_DATA_TYPE_UINT32, PATH("asn")))
		return d.uint32;
	return 0;
}

/* What the registered name of a network says of it. */
static unsigned kinds_of_name(MMDB_entry_s *entry)
{
	static const struct {
		const char *word;
		enum net_kind kind;
	} words[] = {{"hosting", NET_HOSTING}, {"cloud", NET_HOSTING}, {"datacenter", NET_HOSTING}, {"data center", NET_HOSTING}, {"server", NET_HOSTING},
		{"vps", NET_HOSTING}, {"vpn", NET_HOSTING}, {"mobile", NET_MOBILE}, {"wireless", NET_MOBILE}, {"cellular", NET_MOBILE}};
	MMDB_entry_data_s d;
	unsigned kinds = 0;
	if (!value(&d, entry, MMDB_DATA_TYPE_UTF8_STRING, PATH("autonomous_system_organization")) &&
		!value(&d, entry, MMDB_DATA_TYPE_UTF8_STRING, PATH("as_name")))
		return 0;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		for (size_t at = 0; at < d.data_size; at++)
			if (slice_case_starts(slice_make(d.utf8_string + at, d.data_size - at), words[i].word))
				kinds |= 1u << words[i].kind;
	return kinds;
}

static bool degrees(int16_t *out, MMDB_entry_s *entry, const char *name, double most)
{
	MMDB_entry_data_s d;
	if (!value(&d, entry, MMDB_DATA_TYPE_DOUBLE, PATH("location", name)) || !(fabs(d.double_value) <= most))
		return false;
	*out = (int16_t)lround(d.double_value * 100);
	return true;
}

static void find_position(struct place *p, MMDB_entry_s *entry)
{
	MMDB_entry_data_s d;
	p->located = degrees(&p->latitude, entry, "latitude", 90) && degrees(&p->longitude, entry, "longitude", 180);
	p->radius_km = 100;
	if (p->located && value(&d, entry, MMDB_DATA_TYPE_UINT16, PATH("location", "accuracy_radius")))
		p->radius_km = d.uint16;
	if (!p->located)
		p->located = country_position(&p->latitude, &p->longitude, &p->radius_km, p->country);
}

static void find_city(struct place *p, MMDB_entry_s *entry)
{
	MMDB_entry_data_s d;
	size_t n = 0;
	if (!value(&d, entry, MMDB_DATA_TYPE_UTF8_STRING, PATH("city", "names", "en")) && !value(&d, entry, MMDB_DATA_TYPE_UTF8_STRING, PATH("city")))
		return;
	for (; n < d.data_size && n < CITY_MAX - 1; n++)
		p->city[n] = d.utf8_string[n] >= ' ' && d.utf8_string[n] <= '~' ? d.utf8_string[n] : '?';
}

static void look_up(struct place *out, const struct geo *g, const struct ip *ip)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	int err;
	memcpy(&six.sin6_addr, ip->a, 16);
	memcpy(&four.sin_addr, ip->a + 12, 4);
	MMDB_lookup_result_s r = MMDB_lookup_sockaddr(&g->db, ip_is4(ip) ? (struct sockaddr *)&four : (struct sockaddr *)&six, &err);
	if (err != MMDB_SUCCESS || !r.found_entry)
		return;
	out->country = find_country(&r.entry);
	out->asn = find_asn(&r.entry);
	out->kinds = (unsigned char)kinds_of_name(&r.entry);
	find_position(out, &r.entry);
	find_city(out, &r.entry);
}

void geo_find(struct place *out, const struct geo *g, const struct skim_config *cfg, const struct ip *ip)
{
	*out = (struct place){0};
	if (g)
		look_up(out, g, ip);
	out->kinds |= (unsigned char)config_net(cfg, ip, out->asn);
}

#define RADIANS (3.14159265358979 / 18000)
long geo_distance_km(const struct place *a, const struct place *b)
{
	if (!a->located || !b->located)
		return 0;
	double la = a->latitude * RADIANS, lb = b->latitude * RADIANS, dlat = lb - la, dlon = (b->longitude - a->longitude) * RADIANS;
	double h = sin(dlat / 2) * sin(dlat / 2) + cos(la) * cos(lb) * sin(dlon / 2) * sin(dlon / 2);
	long km = lround(2 * 6371 * asin(sqrt(h < 1 ? h : 1))) - a->radius_km - b->radius_km;
	return km > 0 ? km : 0;
}

void country_text(char text[3], country cc)
{
	text[0] = (char)(cc >> 8), text[1] = (char)(cc & 0xff), text[2] = 0;
}

int geo_check(const struct control *c, struct err *e)
{
	struct geo *g;
	struct err why;
	int rc = geo_open(&g, control_blob(c, C_geoip), &why);
	if (rc < 0)
		return control_fault(e, c, C_geoip, 0, "%s", why.text);
	geo_close(g);
	return 0;
}
