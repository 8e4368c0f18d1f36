export { judge, type OracleEnd, type OraclePacket, type OracleSettings, type OracleVerdict } from "./testing/oracle.ts";
