/*
 * For builds with the thread sanitizer, linked into every program with --wrap=syscall. It knows a descriptor by its number
 * and sees who closes it by close(2); libuv closes by the bare system call, so that a number which somebody else gets next
 * looked shared with whoever had it before.
 */
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

long __real_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	long args[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++) /* those that were not given are not looked at */
		args[i] = va_arg(list, long);
	va_end(list);
	return number == SYS_close ? close((int)args[0])
				   : __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
