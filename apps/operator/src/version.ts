import manifest from "../package.json" with { type: "json" };

export const operatorVersion = manifest.version;
