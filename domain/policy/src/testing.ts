export { judge, type OracleEnd, type OraclePacket, type OracleSettings, type OracleVerdict } from "./oracle.ts";
