export { createExporterConfig, type ExporterConfig, type ExporterFields, parseExporterConfigs } from "./exporter-config.ts";
export { Exporters } from "./exporters.ts";
