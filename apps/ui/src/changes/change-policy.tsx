import type { ChangeReport, ChangeRights } from "@cilium-ts/service-map/view";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { type Answer, askBackend } from "../state/ask-backend.ts";
import { canBeReplaced, isRefused, ReportList } from "./change-report.tsx";
import { useRights } from "./use-rights.ts";

const changeTimeoutMs = 60_000;

interface ChangePolicyProps {
  readonly yaml: string;
  /** The policy that the text began with, and which generation of it. */
  readonly source: { readonly key: string; readonly generation: number } | undefined;
  readonly hasErrors: boolean;
  /** The cluster has the text now; the keys of its policies. */
  readonly onApplied: (keys: readonly string[]) => void;
  readonly onDeleted: () => void;
}

type Dialog = { readonly kind: "apply"; readonly replaces: boolean; readonly trial: Answer<ChangeReport> } | { readonly kind: "delete" };

/** Applies or deletes a policy where the user may; elsewhere says which right is missing, and how else it can be done. */
export function ChangePolicy({ yaml, source, hasErrors, onApplied, onDeleted }: ChangePolicyProps): ReactNode {
  const rights = useRights(yaml, source?.key);
  const [dialog, setDialog] = useState<Dialog>();
  const [outcome, setOutcome] = useState<Answer<ChangeReport>>();
  const began = source === undefined ? {} : { key: source.key, generation: String(source.generation) };
  const apply = (flags: Readonly<Record<string, string>>): Promise<Answer<ChangeReport>> =>
    change(`api/changes/apply?${new URLSearchParams({ ...began, ...flags })}`, yaml);
  const tryOut = async (replaces: boolean): Promise<void> => {
    setOutcome(undefined);
    setDialog({ kind: "apply", replaces, trial: { kind: "waiting" } });
    const trial = await apply({ "dry-run": "", ...(replaces && { replace: "" }) });
    setDialog((current) => (current === undefined ? undefined : { kind: "apply", replaces, trial }));
  };
  const finish = async (pending: Promise<Answer<ChangeReport>>, onDone: (report: ChangeReport) => void): Promise<void> => {
    setDialog(undefined);
    setOutcome({ kind: "waiting" });
    const answer = await pending;
    setOutcome(answer);
    if (answer.kind === "answer" && answer.value.isDone) onDone(answer.value);
  };
  return (
    <section className="change" aria-label="Change the cluster">
      <ChangeButtons
        rights={rights}
        hasText={yaml.trim() !== ""}
        hasErrors={hasErrors}
        isExisting={source !== undefined}
        onApply={() => void tryOut(false)}
        onDelete={() => setDialog({ kind: "delete" })}
      />
      <div role="status">
        {outcome?.kind === "waiting" && <p>Changing the cluster…</p>}
        {outcome?.kind === "problem" && <p className="problem">It was not changed: {outcome.problem}. The text is kept.</p>}
        {outcome?.kind === "answer" && <ReportList report={outcome.value} isTrial={false} />}
      </div>
      {dialog?.kind === "apply" && (
        <ApplyDialog
          trial={dialog.trial}
          onReplace={() => void tryOut(true)}
          onConfirm={() =>
            void finish(apply(dialog.replaces ? { replace: "" } : {}), ({ objects }) => onApplied(objects.map(({ key }) => key)))
          }
          onClose={() => setDialog(undefined)}
        />
      )}
      {dialog?.kind === "delete" && source !== undefined && (
        <DeleteDialog
          name={source.key}
          onConfirm={() => void finish(change(`api/changes/delete?${new URLSearchParams(began)}`, ""), onDeleted)}
          onClose={() => setDialog(undefined)}
        />
      )}
    </section>
  );
}

function change(path: string, body: string): Promise<Answer<ChangeReport>> {
  const options = { signal: AbortSignal.timeout(changeTimeoutMs), body };
  return askBackend<ChangeReport>(path, options).catch(
    (): Answer<ChangeReport> => ({ kind: "problem", problem: "there was no answer in time; look at the policy before you try again" }),
  );
}

interface ChangeButtonsProps {
  readonly rights: Answer<ChangeRights>;
  readonly hasText: boolean;
  readonly hasErrors: boolean;
  readonly isExisting: boolean;
  readonly onApply: () => void;
  readonly onDelete: () => void;
}

function ChangeButtons({ rights, hasText, hasErrors, isExisting, onApply, onDelete }: ChangeButtonsProps): ReactNode {
  if (rights.kind === "waiting") return null;
  if (rights.kind === "problem")
    return (
      <p className="muted">
        What you may change is not known: {rights.problem}. <ByHand />
      </p>
    );
  const { as, refusal, apply, delete: deletion } = rights.value;
  if (refusal !== "")
    return (
      <p className="muted">
        Nothing is changed from here: {refusal}. <ByHand />
      </p>
    );
  return (
    <>
      <div className="actions">
        {apply.length === 0 && (
          <button type="button" className="primary" disabled={!hasText || hasErrors} onClick={onApply}>
            Apply…
          </button>
        )}
        {isExisting && deletion.length === 0 && (
          <button type="button" onClick={onDelete}>
            Delete…
          </button>
        )}
        <span className="muted">
          {hasErrors ? "What is wrong above must be right first. " : ""}With the rights of {as}.
        </span>
      </div>
      {apply.length > 0 && (
        <p className="muted">
          You may not apply it: {as} lacks the right to {apply.join(", and to ")}. <ByHand />
        </p>
      )}
      {isExisting && deletion.length > 0 && (
        <p className="muted">You may not delete it: the right to {deletion.join(", and to ")} is missing.</p>
      )}
    </>
  );
}

function ByHand(): ReactNode {
  return (
    <>
      Save it as a file, and who may can apply it by <code>kubectl apply --server-side -f policy.yaml</code>.
    </>
  );
}

/** The browser's own dialog: it holds the focus, and Escape closes it. */
function Modal({
  label,
  onClose,
  children,
}: {
  readonly label: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-label={label} onClose={onClose}>
      <h2>{label}</h2>
      {children}
    </dialog>
  );
}

interface ApplyDialogProps {
  readonly trial: Answer<ChangeReport>;
  readonly onReplace: () => void;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

function ApplyDialog({ trial, onReplace, onConfirm, onClose }: ApplyDialogProps): ReactNode {
  const report = trial.kind === "answer" ? trial.value : undefined;
  const canApply = report !== undefined && !isRefused(report);
  return (
    <Modal label="Apply this to the cluster?" onClose={onClose}>
      <div role="status">
        {trial.kind === "waiting" && <p>Asking the cluster what would happen…</p>}
        {trial.kind === "problem" && <p className="problem">It cannot be applied: {trial.problem}.</p>}
        {report !== undefined && <ReportList report={report} isTrial />}
      </div>
      <div className="actions">
        {canApply && (
          <button type="button" className="primary" onClick={onConfirm}>
            Apply now
          </button>
        )}
        {report !== undefined && canBeReplaced(report) && (
          <button type="button" onClick={onReplace}>
            Replace what others have set…
          </button>
        )}
        <button type="button" onClick={onClose}>
          Back to the text
        </button>
      </div>
    </Modal>
  );
}

function DeleteDialog({
  name,
  onConfirm,
  onClose,
}: {
  readonly name: string;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}): ReactNode {
  return (
    <Modal label="Delete this policy?" onClose={onClose}>
      <p>
        <strong>{name}</strong> and all that it allows or denies would be gone at once. “What if it were deleted?” tells which flows that
        changes.
      </p>
      <div className="actions">
        <button type="button" onClick={onClose}>
          Keep it
        </button>
        <button type="button" className="primary" onClick={onConfirm}>
          Delete it now
        </button>
      </div>
    </Modal>
  );
}
