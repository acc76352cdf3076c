/* What skim/history*.c share.  Internal to them. */
#ifndef POSTERN_SKIM_HISTORY_OWN_H
#define POSTERN_SKIM_HISTORY_OWN_H
#include "skim/history.h"

#define HOSTS_TABLE 16384
#define PLACES_TABLE 16384
#define SPRAY_TABLE 16384
#define CANARY_TABLE 64
#define PAIRS_TABLE (1u << 20)

struct shared { /* who used a thing: the first few, by hash */
	uint32_t hash, user[5];
	int64_t time[5];
};
struct spray {
	struct ip ip;
	int64_t since;
	uint32_t user[64]; /* hashes of those that failed */
	uint32_t n;
};
/* What all users share; kept page by page (regions[] in history_shared.c). */
struct common {
	struct history_misc misc;
	struct shared host[HOSTS_TABLE], place[PLACES_TABLE];
	uint32_t logins_from[65536];
	struct spray spray[SPRAY_TABLE];
	uint32_t pair[PAIRS_TABLE]; /* who wrote to whom */
	struct canary_use {
		struct ip ip;
		int64_t time;
	} canary[CANARY_TABLE];
};
#define COMMON_PAGES ((sizeof(struct common) + HISTORY_PAGE - 1) / HISTORY_PAGE + 8)

struct history {
	struct user **slot;
	size_t size, count, most, hand;
	uint64_t key;
	const struct user *pinned;
	struct common *common;
	/* what is to be kept */
	bool kept;
	struct user **dirty;
	size_t dirties, dirty_room;
	struct buf gone;
	uint8_t page_dirty[COMMON_PAGES], page_there[COMMON_PAGES];
	size_t pages_dirty, page_hand;
	const struct history_source *source;
};
#endif
