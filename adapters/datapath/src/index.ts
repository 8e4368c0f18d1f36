export { type DatapathEndpoint, EndpointRows } from "./endpoint-rows.ts";
export { type EventSourceOptions, readEvents } from "./event-source.ts";
export { IpcacheMap, type IpcacheRow } from "./ipcache-map.ts";
export { type Datapath, openDatapath } from "./open-datapath.ts";
export { type DatapathObjects, type DatapathOptions, datapathDefaults } from "./options.ts";
export { type PolicySetEntry, PolicySets } from "./policy-sets.ts";
export { metricsDirection, sourceFile } from "./gen/index.ts";
