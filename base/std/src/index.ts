export { type BackOff, createBackOff } from "./back-off.ts";
export { type Clock, systemClock } from "./clock.ts";
export { parseDuration } from "./duration.ts";
export { errorMessage, toError } from "./errors.ts";
export { isRecord } from "./is-record.ts";
export {
  readSettingTexts,
  type Setting,
  type SettingFiles,
  type SettingSources,
  SettingsReader,
  type SettingTexts,
  settingDirectory,
  settingLines,
} from "./settings.ts";
export { TaskGroup } from "./task-group.ts";
