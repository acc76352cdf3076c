/* The file-system user of the worker: see local_user.h.  Runs in postern-local, as postern-mail with CAP_SETUID and CAP_SETGID kept.
 * The numbers come from the directory through route and queue; none of the three is trusted with system users. */
#include "deliver/local_user.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	struct local_user self, now;
	bool can_switch;
} state;

static bool has_capabilities(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}};
	unsigned want = 1u << CAP_SETUID | 1u << CAP_SETGID;
	return syscall(SYS_capget, &h, d) == 0 && (d[0].effective & want) == want;
}

int local_user_start(struct err *e)
{
	state.self = state.now = (struct local_user){geteuid(), getegid()};
	if (state.self.uid == 0)
		return err_set(e, E_REFUSED, "mail is never delivered as root; start the suite with postern serve");
	state.can_switch = has_capabilities();
	if (state.can_switch && (state.self.uid < LOCAL_UID_LEAST || state.self.gid < LOCAL_UID_LEAST))
		return err_set(e, E_REFUSED, "the user postern-mail has uid %u, gid %u; both must be at least %d", state.self.uid, state.self.gid,
			LOCAL_UID_LEAST);
	return 0;
}

const struct local_user *local_user_self(void)
{
	return &state.self;
}

bool local_user_can_switch(void)
{
	return state.can_switch;
}

int local_user_for(struct local_user *out, long long uid, long long gid, struct err *e)
{
	*out = state.self;
	if (uid < 0)
		return 0;
	if (uid < LOCAL_UID_LEAST || (gid >= 0 && gid < LOCAL_UID_LEAST))
		return err_set(e, E_REFUSED, "the directory gives uid %lld, gid %lld; mail is not delivered as users or groups below %d", uid, gid,
			LOCAL_UID_LEAST);
	if (!state.can_switch)
		return 0;
	out->uid = (uid_t)uid;
	if (gid >= 0)
		out->gid = (gid_t)gid;
	return 0;
}

/* setfsuid() tells no error; asking with -1 changes nothing and returns what is in force. */
int local_user_become(const struct local_user *u, struct err *e)
{
	if (u->uid == state.now.uid && u->gid == state.now.gid)
		return 0;
	setfsgid(u->gid);
	setfsuid(u->uid);
	if ((uid_t)setfsuid((uid_t)-1) == u->uid && (gid_t)setfsgid((gid_t)-1) == u->gid) {
		state.now = *u;
		return 0;
	}
	setfsuid(state.self.uid);
	setfsgid(state.self.gid);
	state.now = state.self;
	return err_set(e, E_SYS, "the system does not let the worker write as uid %u, gid %u", u->uid, u->gid);
}
