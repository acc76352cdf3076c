/* LDAP entries: see ldap_entry.h.  The server is trusted for what stands in an entry, not for its size. */
#include "directory/ldap_entry.h"

/* A copy in ENTRY's space; an empty slice with E_TOO_LONG when it is used up. */
static int keep(struct slice *out, struct ldap_entry *entry, const struct berval *v, struct err *e)
{
	if (v->bv_len > sizeof entry->space - entry->used)
		return err_set(e, E_TOO_LONG, "an entry of more than %d octets", LDAP_ENTRY_OCTETS_MAX);
	char *p = entry->space + entry->used;
	if (v->bv_len)
		memcpy(p, v->bv_val, v->bv_len);
	entry->used += v->bv_len;
	*out = slice_make(p, v->bv_len);
	return 0;
}

static int add_values(struct ldap_entry *entry, const struct berval *name, const struct berval *values, struct err *e)
{
	struct slice value;
	int rc = 0;
	for (size_t i = 0; rc == 0 && values && values[i].bv_val; i++) {
		rc = keep(&value, entry, &values[i], e);
		if (rc == 0)
			rc = account_add(&entry->account, slice_make(name->bv_val, name->bv_len), value, e);
	}
	return rc;
}

int ldap_entry_read(struct ldap_entry *entry, LDAP *ld, LDAPMessage *message, const struct account_defaults *d, struct err *e)
{
	BerElement *ber = NULL;
	struct berval dn, name, *values = NULL;
	struct slice kept;
	int rc = 0;
	entry->used = 0;
	if (ldap_get_dn_ber(ld, message, &ber, &dn) != LDAP_SUCCESS)
		return err_set(e, E_PEER, "an entry without a DN");
	rc = keep(&kept, entry, &dn, e);
	account_begin(&entry->account, kept);
	while (rc == 0 && ldap_get_attribute_ber(ld, message, ber, &name, &values) == LDAP_SUCCESS && name.bv_val) {
		rc = add_values(entry, &name, values, e);
		ber_memfree(values);
		values = NULL;
	}
	ber_free(ber, 0);
	return rc < 0 || !d ? rc : account_finish(&entry->account, d, e);
}
