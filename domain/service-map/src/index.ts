export { createFlowMatcher, type FlowMatcher } from "./filter/flow-matcher.ts";
export { describeService, serviceIdOf } from "./service.ts";
export { defaultServiceMapLimits, type PolicyOf, ServiceMap, type ServiceMapLimits } from "./service-map.ts";
export * from "./view.ts";
