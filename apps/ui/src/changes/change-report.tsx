import type { ChangeReport, ObjectChange } from "@cilium-ts/service-map/view";
import type { ReactNode } from "react";

const words: Readonly<Record<ObjectChange["outcome"], readonly [would: string, did: string]>> = {
  created: ["would be created", "is created"],
  changed: ["would be changed", "is changed"],
  unchanged: ["stays as it is", "is as it was"],
  deleted: ["would be deleted", "is deleted"],
  refused: ["would be refused", "was refused"],
  untried: ["was not tried", "was not tried"],
};

/** What a change did to each policy, or would do, and what stood in its way. */
export function ReportList({ report, isTrial }: { readonly report: ChangeReport; readonly isTrial: boolean }): ReactNode {
  return (
    <ul className="report">
      {report.objects.map(({ key, outcome, problem, conflicts }) => (
        <li key={key}>
          <strong>{key}</strong> <span className={outcome === "refused" ? "problem" : ""}>{words[outcome][isTrial ? 0 : 1]}</span>
          {problem !== "" && <>: {problem}</>}
          {conflicts.length > 0 && (
            <ul>
              {conflicts.map(({ field, reason }) => (
                <li key={`${field} ${reason}`}>
                  {field !== "" && <code>{field}</code>} {reason}
                </li>
              ))}
            </ul>
          )}
        </li>
      ))}
    </ul>
  );
}

/** Whether nothing but conflicts stands in the way. */
export function canBeReplaced({ objects }: ChangeReport): boolean {
  const refused = objects.filter(({ outcome }) => outcome === "refused");
  return refused.length > 0 && refused.every(({ conflicts }) => conflicts.length > 0);
}

export function isRefused({ objects }: ChangeReport): boolean {
  return objects.some(({ outcome }) => outcome === "refused");
}
