export type { FakeAttachment } from "./fake/fake-link.ts";
export { acknowledgeAll, type FakeNetlinkRequest, type FakeNetlinkResponder } from "./fake/fake-netlink.ts";
export type { FakeObjectShape } from "./fake/fake-object.ts";
export type { FakeProgramShape } from "./fake/fake-program.ts";
export { type FakeLinkState, FakeMachine } from "./fake/machine.ts";
export { type FakeKernel, type FakeKernelOptions, openFakeKernel } from "./fake/open-fake-kernel.ts";
export type { FakeFailure, FakeOperation } from "./fake/process.ts";
