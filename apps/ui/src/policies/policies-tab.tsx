import type { PolicySummary, PolicyText } from "@cilium-ts/service-map/view";
import { type ReactNode, useState } from "react";
import { usePage } from "../state/page.tsx";
import { useAnswer } from "../state/use-answer.ts";
import { PolicyEditor } from "./policy-editor.tsx";

const refreshMs = 5_000;

/** The cluster's policies, what each chooses and decided, and a place to try others. */
export function PoliciesTab(): ReactNode {
  const { address } = usePage();
  const answer = useAnswer<readonly PolicySummary[]>("api/policies", refreshMs);
  const { policy } = address;
  const [told, setTold] = useState("");
  return (
    <div className="policies">
      <section aria-label="Policies" className="policies-list" tabIndex={0}>
        {answer.kind === "waiting" && <p className="empty">Reading the policies…</p>}
        {answer.kind === "problem" && <p className="empty">Policies cannot be shown: {answer.problem}.</p>}
        {answer.kind === "answer" && <PolicyTable policies={answer.value} chosen={policy} />}
      </section>
      <div className="policies-one">
        <p role="status">{told}</p>
        {policy === undefined ? <NewPolicy onTold={setTold} /> : <ExistingPolicy key={policy} policyKey={policy} onTold={setTold} />}
      </div>
    </div>
  );
}

function PolicyTable({
  policies,
  chosen,
}: {
  readonly policies: readonly PolicySummary[];
  readonly chosen: string | undefined;
}): ReactNode {
  const { address, go } = usePage();
  const { namespaces } = address.query;
  const shown = policies.filter(({ namespace }) => namespaces.length === 0 || namespace === "" || namespaces.includes(namespace));
  return (
    <>
      <p className="actions">
        <span className="grow muted">{shown.length === 1 ? "1 policy" : `${shown.length} policies`}</span>
        <button type="button" onClick={() => go({ policy: undefined })}>
          Write a new one
        </button>
      </p>
      {shown.length === 0 ? (
        <p className="empty">
          There is no policy {namespaces.length === 0 ? "in the cluster" : `in ${namespaces.join(", ")}`}: everything may talk.
        </p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Policy</th>
              <th scope="col">Chooses</th>
              <th scope="col">Allowed</th>
              <th scope="col">Denied</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ key, kind, namespace, name, problems, selectedCount, selected, allowed, denied }) => (
              <tr key={key} className={key === chosen ? "selected" : ""}>
                <th scope="row">
                  <button type="button" className="link" onClick={() => go({ policy: key })}>
                    {namespace === "" ? name : `${namespace}/${name}`}
                  </button>{" "}
                  <small>{kind}</small>
                  {problems.map((problem) => (
                    <p key={problem} className="problem">
                      Has no effect: {problem}
                    </p>
                  ))}
                </th>
                <td title={selected.join("\n")}>
                  {selectedCount === 0 ? "no pod" : selectedCount === 1 ? selected[0] : `${selectedCount} pods`}
                </td>
                <td>{allowed.toLocaleString()}</td>
                <td className={denied > 0 ? "dropped" : ""}>{denied.toLocaleString()}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

type Tell = (text: string) => void;

function NewPolicy({ onTold }: { readonly onTold: Tell }): ReactNode {
  const { go } = usePage();
  const onApplied = (keys: readonly string[]): void => {
    onTold(`${keys.join(", ")}: applied.`);
    go({ policy: keys[0] });
  };
  return <PolicyEditor initial="" source={undefined} generation={0} onApplied={onApplied} onDeleted={() => undefined} />;
}

function ExistingPolicy({ policyKey, onTold }: { readonly policyKey: string; readonly onTold: Tell }): ReactNode {
  const { go } = usePage();
  const [version, setVersion] = useState(0);
  const answer = useAnswer<PolicyText>(`api/policies/text?${new URLSearchParams({ key: policyKey, version: String(version) })}`);
  if (answer.kind === "waiting") return <p className="empty">Reading the policy…</p>;
  if (answer.kind === "problem")
    return (
      <p className="empty">
        {policyKey} cannot be shown: {answer.problem}.
      </p>
    );
  const { yaml, generation } = answer.value;
  const onApplied = (keys: readonly string[]): void => {
    onTold(`${keys.join(", ")}: applied.`);
    if (keys.includes(policyKey)) setVersion((count) => count + 1);
    else go({ policy: keys[0] });
  };
  const onDeleted = (): void => {
    onTold(`${policyKey}: deleted.`);
    go({ policy: undefined });
  };
  return <PolicyEditor initial={yaml} source={policyKey} generation={generation} onApplied={onApplied} onDeleted={onDeleted} />;
}
