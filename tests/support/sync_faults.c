/* Preloaded into a server by the tests: makes syncs to the disk fail, or ends the process at one.
 *
 * The file named by SYNC_FAULTS_FILE says what to do; it may appear, change and go at any time:
 *   fail        every sync fails with EIO
 *   delay N     every sync takes N ms longer
 *   hold        syncs wait until the file says something else
 *   before N    the process dies before its Nth sync since the file appeared is carried out
 *   after N     the process dies when its Nth sync since then is through, before it is told so
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum fault { fault_none, fault_fail, fault_hold, fault_before, fault_after };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static ino_t counted_inode;
static long counted;

static void die(void) {
  kill(getpid(), SIGKILL);
  pause();
}

/* What is to be done with the sync that begins now. */
static enum fault next_fault(void) {
  const char* path = getenv("SYNC_FAULTS_FILE");
  if (path == NULL) return fault_none;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fault_none;
  struct stat status;
  char text[64] = {0};
  const int told = fstat(fd, &status) == 0 && read(fd, text, sizeof text - 1) > 0;
  close(fd);
  if (!told) return fault_none;
  if (strncmp(text, "fail", 4) == 0) return fault_fail;
  if (strncmp(text, "hold", 4) == 0) return fault_hold;

  char when[16] = {0};
  long number = 0;
  if (sscanf(text, "%15s %ld", when, &number) != 2) return fault_none;
  if (strcmp(when, "delay") == 0) {
    usleep((useconds_t)(number * 1000));
    return fault_none;
  }
  pthread_mutex_lock(&mutex);
  if (counted_inode != status.st_ino) counted = 0;
  counted_inode = status.st_ino;
  const int is_due = ++counted == number;
  pthread_mutex_unlock(&mutex);
  if (!is_due) return fault_none;
  return strcmp(when, "before") == 0 ? fault_before : fault_after;
}

typedef int (*sync_function)(int);

static int faulty_sync(const char* name, int fd) {
  enum fault fault = next_fault();
  while (fault == fault_hold) {
    usleep(1000);
    fault = next_fault();
  }
  if (fault == fault_fail) {
    errno = EIO;
    return -1;
  }
  if (fault == fault_before) die();
  const sync_function real = (sync_function)dlsym(RTLD_NEXT, name);
  const int result = real(fd);
  if (fault == fault_after) die();
  return result;
}

int fsync(int fd) { return faulty_sync("fsync", fd); }
int fdatasync(int fd) { return faulty_sync("fdatasync", fd); }

/* Only begins to write; counts as no sync, but fails like one. */
int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned int flags) {
  typedef int (*range_function)(int, off64_t, off64_t, unsigned int);
  const char* path = getenv("SYNC_FAULTS_FILE");
  char text[8] = {0};
  const int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    const ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    if (count >= 4 && strncmp(text, "fail", 4) == 0) {
      errno = EIO;
      return -1;
    }
  }
  const range_function real = (range_function)dlsym(RTLD_NEXT, "sync_file_range");
  return real(fd, offset, bytes, flags);
}
