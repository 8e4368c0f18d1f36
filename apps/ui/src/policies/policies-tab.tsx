import type { PolicySummary, PolicyText } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";
import { usePage } from "../state/page.tsx";
import { useAnswer } from "../state/use-answer.ts";
import { PolicyEditor } from "./policy-editor.tsx";

const refreshMs = 5_000;

/** The cluster's policies, what each chooses and decided, and a place to try others. */
export function PoliciesTab(): ReactNode {
  const { address } = usePage();
  const answer = useAnswer<readonly PolicySummary[]>("api/policies", refreshMs);
  const { policy } = address;
  return (
    <div className="policies">
      <section aria-label="Policies" className="policies-list" tabIndex={0}>
        {answer.kind === "waiting" && <p className="empty">Reading the policies…</p>}
        {answer.kind === "problem" && <p className="empty">Policies cannot be shown: {answer.problem}.</p>}
        {answer.kind === "answer" && <PolicyTable policies={answer.value} chosen={policy} />}
      </section>
      {policy === undefined ? <PolicyEditor key="" initial="" source={undefined} /> : <ExistingPolicy key={policy} policyKey={policy} />}
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

function ExistingPolicy({ policyKey }: { readonly policyKey: string }): ReactNode {
  const answer = useAnswer<PolicyText>(`api/policies/text?${new URLSearchParams({ key: policyKey })}`);
  if (answer.kind === "waiting") return <p className="empty">Reading the policy…</p>;
  if (answer.kind === "problem")
    return (
      <p className="empty">
        {policyKey} cannot be shown: {answer.problem}.
      </p>
    );
  return <PolicyEditor initial={answer.value.yaml} source={policyKey} />;
}
