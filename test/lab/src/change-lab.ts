import { demoLab } from "./commands.ts";
import { Lab } from "./lab.ts";

/** Verbs of ./dev that change the lab that `./dev up` started. */

/** `add|remove|cut|join NAME` */
export async function changeNode(args: readonly string[]): Promise<number> {
  const [what = "", name = "", ...rest] = args;
  const changes: Readonly<Record<string, (lab: Lab) => Promise<unknown>>> = {
    add: (lab) => lab.addNode(name),
    remove: (lab) => lab.removeNode(name),
    cut: (lab) => lab.cutNode(name),
    join: (lab) => lab.joinNode(name),
  };
  const change = Object.hasOwn(changes, what) ? changes[what] : undefined;
  if (change === undefined || rest.length > 0) throw new Error(`say ./dev node ${Object.keys(changes).join("|")} NAME`);
  if (!/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
    throw new Error(`"${name}" is no name of a node: up to 32 small letters, digits and dashes`);
  await change(await runningLab());
  return 0;
}

/** `agent [NODE]`, `operator`, `apiserver`, `relay`, `kubelet` */
export async function restartProgram(args: readonly string[]): Promise<number> {
  const [program = "", node] = args;
  const lab = await runningLab();
  const names = lab.daemons.map(({ name }) => name);
  const name = program === "agent" ? `agent-${node ?? lab.nodes[0]?.name}` : program;
  if (!names.includes(name)) {
    const programs = names.filter((known) => !known.includes(" ")).map((known) => known.replace(/^agent-/, "agent "));
    throw new Error(`the lab has no program "${args.join(" ")}": there are ${programs.join(", ")}`);
  }
  await lab.restart(name);
  if (name.startsWith("agent-")) await lab.waitForAgent(name.slice("agent-".length));
  if (name === "apiserver") await lab.waitForApiserver();
  return 0;
}

async function runningLab(): Promise<Lab> {
  const lab = await Lab.attach(demoLab);
  if (lab === undefined) throw new Error("no lab is running: start one with sudo ./dev up");
  return lab;
}
