import { requireKernel } from "@cilium-ts/testing";
import { checkContract, type World } from "./contract-suite.ts";
import { openRealWorld } from "./real-world.ts";
import { FakeNetworks } from "./testing.ts";

function openFakeWorld(): World {
  const networks = new FakeNetworks();
  networks.createNamespace("/run/netns/pod");
  return {
    host: networks.open(),
    podPath: "/run/netns/pod",
    openPod: () => networks.open({ namespacePath: "/run/netns/pod" }),
    [Symbol.dispose]: () => {},
  };
}

checkContract("fake", openFakeWorld, false);
checkContract("kernel", openRealWorld, requireKernel());
