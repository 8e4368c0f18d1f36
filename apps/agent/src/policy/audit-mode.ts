import { auditAnnotation, type Namespace } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";

export interface AuditModeOptions {
  /** The agent's setting, for namespaces that say nothing. */
  readonly everywhere: boolean;
  readonly log: Pick<Log, "warn">;
  /** Endpoints of the namespace are judged otherwise now. */
  onChange(namespace: string): void;
}

/** Where policy only audits: what it would drop passes, and is reported as audited. */
export class AuditMode {
  readonly #options: AuditModeOptions;
  /** Namespaces that say something. */
  readonly #namespaces = new Map<string, boolean>();

  constructor(options: AuditModeOptions) {
    this.#options = options;
  }

  audits(namespace: string): boolean {
    return this.#namespaces.get(namespace) ?? this.#options.everywhere;
  }

  upsertNamespace({ name, annotations }: Namespace): void {
    const text = annotations[auditAnnotation];
    if (text !== undefined && text !== "enabled" && text !== "disabled") {
      this.#options.log.warn(
        `namespace ${name}: ${auditAnnotation} is ${JSON.stringify(text)} and says nothing: write "enabled" or "disabled"`,
      );
    }
    this.#set(name, text === "enabled" ? true : text === "disabled" ? false : undefined);
  }

  removeNamespace(name: string): void {
    this.#set(name, undefined);
  }

  #set(name: string, says: boolean | undefined): void {
    const before = this.audits(name);
    if (says === undefined) this.#namespaces.delete(name);
    else this.#namespaces.set(name, says);
    if (before !== this.audits(name)) this.#options.onChange(name);
  }
}
