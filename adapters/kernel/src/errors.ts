/** A system call that failed: which, on what, and why. */
export class KernelError extends Error {
  override readonly name: string = "KernelError";
  readonly syscall: string;
  /** Positive, as in errno.h. */
  readonly errno: number;
  /** "ENOENT", … */
  readonly code: string;
  /** For batches: entries done before the failure. */
  readonly done: number;

  constructor(options: { message: string; syscall: string; errno: number; code: string; done?: number; cause?: unknown }) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.syscall = options.syscall;
    this.errno = options.errno;
    this.code = options.code;
    this.done = options.done ?? 0;
  }
}

/** The verifier said no: the program, the line that matters, and its whole log. */
export class VerifierRejection extends KernelError {
  override readonly name = "VerifierRejection";
  readonly program: string;
  readonly line: string;
  readonly log: string;

  constructor(options: { program: string; line: string; log: string; errno: number; code: string }) {
    super({
      message: `program ${options.program} was rejected by the verifier: ${options.line}`,
      syscall: "bpf(PROG_LOAD)",
      errno: options.errno,
      code: options.code,
    });
    this.program = options.program;
    this.line = options.line;
    this.log = options.log;
  }
}

/** The kernel is too old, or was built without something. */
export class UnsupportedFeature extends Error {
  override readonly name = "UnsupportedFeature";
  readonly feature: string;
  readonly minimumKernel: string;

  constructor(feature: string, minimumKernel: string, release: string) {
    super(`this kernel (${release}) has no ${feature}: it needs Linux ${minimumKernel} or newer`);
    this.feature = feature;
    this.minimumKernel = minimumKernel;
  }
}
