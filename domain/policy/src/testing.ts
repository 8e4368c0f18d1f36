export {
  type GeneratedCluster,
  type GeneratedEnd,
  generateCluster,
  generatePacketPort,
  identityOf,
  populate,
} from "./testing/generated-cluster.ts";
export { judge, type OracleEnd, type OraclePacket, type OracleSettings, type OracleVerdict } from "./testing/oracle.ts";
