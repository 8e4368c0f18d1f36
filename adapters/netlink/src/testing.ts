export { FakeNetworks, openFakeNetlink } from "./fake.ts";
