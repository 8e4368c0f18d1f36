import assert from "node:assert/strict";
import { test } from "node:test";
import { auditAnnotation } from "@cilium-ts/kubernetes";
import { AuditMode } from "./audit-mode.ts";

function create(everywhere: boolean) {
  const changed: string[] = [];
  const warnings: string[] = [];
  const audit = new AuditMode({
    everywhere,
    log: { warn: (message) => void warnings.push(message) },
    onChange: (name) => void changed.push(name),
  });
  const say = (name: string, text?: string): void =>
    audit.upsertNamespace({ name, labels: {}, annotations: text === undefined ? {} : { [auditAnnotation]: text } });
  return { audit, changed, warnings, say };
}

test("a namespace says for itself, whatever the agent's setting", () => {
  const { audit, changed, say } = create(false);
  say("shop", "enabled");
  say("prod", "disabled");
  assert.deepEqual([audit.audits("shop"), audit.audits("prod"), audit.audits("other")], [true, false, false]);
  assert.deepEqual(changed, ["shop"], "prod is as it was");
  const strict = create(true);
  strict.say("prod", "disabled");
  assert.deepEqual([strict.audit.audits("prod"), strict.audit.audits("other"), strict.changed], [false, true, ["prod"]]);
});

test("the setting holds again when the annotation or the namespace goes", () => {
  const { audit, changed, say } = create(false);
  say("shop", "enabled");
  say("shop");
  say("shop", "enabled");
  audit.removeNamespace("shop");
  assert.equal(audit.audits("shop"), false);
  assert.deepEqual(changed, ["shop", "shop", "shop", "shop"]);
});

test("another word says nothing, and is named", () => {
  const { audit, warnings, say } = create(false);
  say("shop", "yes");
  assert.equal(audit.audits("shop"), false);
  assert.match(
    warnings[0] ?? "",
    /namespace shop: policy\.cilium\.io\/audit-mode is "yes" and says nothing: write "enabled" or "disabled"/,
  );
});
