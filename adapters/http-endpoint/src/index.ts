export {
  type EndpointTls,
  type HttpAnswer,
  type HttpEndpoint,
  type HttpRoutes,
  openHttpEndpoint,
  prometheusAnswer,
  type ServeAddress,
} from "./http-endpoint.ts";
