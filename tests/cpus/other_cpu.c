/* Lets a program see another CPU than the one it runs on: one without AVX-512, and with smaller caches.
 *
 * Loaded by LD_PRELOAD, with OTHER_CPU=epyc (an AMD EPYC of family 25 model 1) or OTHER_CPU=laptop (an Intel with caches
 * of 32 KiB, 256 KiB and 8 MiB). Linux lets a process forbid itself the instruction CPUID (arch_prctl, ARCH_SET_CPUID)
 * where the hardware or the hypervisor can: it then raises SIGSEGV, and the handler answers in its place. Whatever asks
 * later than this file is loaded sees the other CPU, so oneDNN, XLA, Eigen and NumPy do. With OTHER_CPU=none the answers
 * are the CPU's own.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

typedef struct {
  unsigned a, b, c, d;
} Answer;

static int without_avx512, epyc, laptop;

/* Not libc's, which may set errno within a signal handler. */
static long allow_cpuid(long allowed) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(SYS_arch_prctl), "D"(ARCH_SET_CPUID), "S"(allowed)
                   : "rcx", "r11", "memory");
  return result;
}

static void name_amd(Answer *x) {
  memcpy(&x->b, "Auth", 4);
  memcpy(&x->d, "enti", 4);
  memcpy(&x->c, "cAMD", 4);
}

/* Bits are those of the manuals: Intel's volume 2A, CPUID; AMD's volume 3, appendix E. */
static void remove_avx512(unsigned leaf, unsigned part, Answer *x) {
  static const Answer none;
  if (leaf == 7 && part == 0) {
    x->a = 0;
    /* hle, rtm; avx512 f, dq, ifma, pf, er, cd, bw, vl */
    x->b &= ~(BIT(4) | BIT(11) | BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31));
    /* avx512 vbmi, vbmi2, vnni, bitalg, vpopcntdq; waitpkg, gfni, cldemote, movdiri, movdir64b */
    x->c &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14) | BIT(5) | BIT(8) | BIT(25) | BIT(27) | BIT(28));
    /* avx512 4vnniw, 4fmaps, vp2intersect, fp16; amx; serialize, tsxldtrk */
    x->d &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(23) | BIT(22) | BIT(24) | BIT(25) | BIT(14) | BIT(16));
  }
  if ((leaf == 7 && part > 0) || leaf == 0x19 || leaf == 0x1d || leaf == 0x1e || leaf == 0x24) *x = none;
  if (leaf == 0xd && part == 0) *x = (Answer){7, 0x340, 0x340, x->d};
}

static void make_epyc(unsigned leaf, unsigned part, Answer *x) {
  static const char brand[48] = "AMD EPYC";
  /* 32 KiB twice, 512 KiB, 32 MiB */
  static const Answer caches[] = {{0x121, 0x01c0003f, 0x3f, 0},
                                  {0x122, 0x01c0003f, 0x3f, 0},
                                  {0x143, 0x01c0003f, 0x3ff, 2},
                                  {0x4163, 0x03c0003f, 0x7fff, 1},
                                  {0, 0, 0, 0}};
  if (leaf == 0) x->a = 0x10;
  if (leaf == 0x80000000) x->a = 0x80000021;
  if (leaf == 0 || leaf == 0x80000000) name_amd(x);
  if (leaf == 1 || leaf == 0x80000001) x->a = 0x00a00f11; /* family 25, model 1 */
  if (leaf == 0x80000001) x->c |= BIT(6) | BIT(7) | BIT(22);
  if (leaf == 2 || leaf == 4 || (leaf > 0x10 && leaf < 0x40000000)) *x = caches[4];
  if (leaf >= 0x80000002 && leaf <= 0x80000004) memcpy(x, brand + 16 * (leaf - 0x80000002), 16);
  if (leaf == 0x80000005) *x = (Answer){0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140};
  if (leaf == 0x80000006) *x = (Answer){0x68006400, 0x68006400, 0x02006140, 64u << 18 | 0x9140};
  if (leaf == 0x80000008) x->c = 0x1001;
  if (leaf == 0x8000001d) *x = caches[part < 4 ? part : 4];
  if (leaf == 0x8000001e) x->b = x->c = x->d = 0;
}

static void make_laptop(unsigned leaf, unsigned part, Answer *x) {
  if (leaf == 4 && part == 0) x->b = 0x01c0003f, x->c = 0x3f;   /* 8 ways of 64 lines: 32 KiB */
  if (leaf == 4 && part == 2) x->b = 0x00c0003f, x->c = 0x3ff;  /* 4 ways of 1024 lines: 256 KiB */
  if (leaf == 4 && part == 3) x->b = 0x03c0003f, x->c = 0x1fff; /* 16 ways of 8192 lines: 8 MiB */
}

static void answer(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)registers[REG_RIP];
  if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) {
    signal(number, SIG_DFL); /* an error of the program's own, which the next attempt ends with */
    return;
  }
  unsigned leaf = registers[REG_RAX], part = registers[REG_RCX];
  Answer x = {leaf, 0, part, 0};
  allow_cpuid(1);
  __asm__ volatile("cpuid" : "+a"(x.a), "=b"(x.b), "+c"(x.c), "=d"(x.d));
  allow_cpuid(0);
  if (without_avx512) remove_avx512(leaf, part, &x);
  if (epyc) make_epyc(leaf, part, &x);
  if (laptop) make_laptop(leaf, part, &x);
  registers[REG_RAX] = x.a;
  registers[REG_RBX] = x.b;
  registers[REG_RCX] = x.c;
  registers[REG_RDX] = x.d;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("OTHER_CPU");
  if (!name) return;
  epyc = !strcmp(name, "epyc");
  laptop = !strcmp(name, "laptop");
  without_avx512 = epyc || laptop;
  struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, 0);
  if (allow_cpuid(0)) _exit(77); /* this machine cannot */
}
