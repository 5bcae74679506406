#include "loop/private.h"

#include <stdlib.h>

struct loop_process {
	uv_process_t uv;
	void (*exited)(void *arg, int status, int signal);
	void *arg;
};

static void on_exit_status(uv_process_t *handle, int64_t status, int signal)
{
	struct loop_process *process = handle->data;
	void (*exited)(void *arg, int status, int signal) = process->exited;
	void *arg = process->arg;

	turn_piece("child ended");
	close_and_free((uv_handle_t *)handle);
	if (exited != NULL)
		exited(arg, (int)status, signal);
}

struct error *loop_spawn(const struct loop_spawn *spawn, struct loop_process **out)
{
	struct loop_process *process = xcalloc(1, sizeof(*process));
	VEC(uv_stdio_container_t) stdio = { 0 };
	uv_process_options_t options = { 0 };
	int status;

	ASSERT_ON_LOOP();
	ASSERT(!loop_is_sim());
	for (size_t i = 0; i < spawn->n_fds; i++) {
		uv_stdio_container_t *one = vec_add(&stdio);

		one->flags = spawn->fds[i] >= 0 ? UV_INHERIT_FD : UV_IGNORE;
		one->data.fd = spawn->fds[i];
	}
	options.file = spawn->file;
	options.args = (char **)(uintptr_t)spawn->argv;
	options.env = (char **)(uintptr_t)spawn->env;
	options.cwd = spawn->cwd;
	options.stdio = stdio.ptr;
	options.stdio_count = (int)stdio.len;
	options.flags = spawn->detached ? UV_PROCESS_DETACHED : 0;
	options.exit_cb = on_exit_status;
	process->exited = spawn->exited;
	process->arg = spawn->arg;
	process->uv.data = process;
	status = uv_spawn(loop_uv(), &process->uv, &options);
	vec_fini(&stdio);
	if (status != 0) {
		close_and_free((uv_handle_t *)&process->uv);
		return uv_failure(status, "start %s", spawn->file);
	}
	if (spawn->detached)
		uv_unref((uv_handle_t *)&process->uv);
	*out = process;
	return NULL;
}

pid_t loop_process_pid(const struct loop_process *process)
{
	return uv_process_get_pid(&process->uv);
}

struct error *loop_process_kill(struct loop_process *process, int signal)
{
	int status = uv_process_kill(&process->uv, signal);

	return status == 0 ? NULL : uv_failure(status, "signal process %d", uv_process_get_pid(&process->uv));
}

void loop_process_forget(struct loop_process *process)
{
	/* libuv still reaps it; only nobody hears of it. */
	process->exited = NULL;
	uv_unref((uv_handle_t *)&process->uv);
}
