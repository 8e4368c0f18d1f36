export { type BackOff, createBackOff } from "./back-off.ts";
export { type Clock, systemClock } from "./clock.ts";
export { errorMessage, toError } from "./errors.ts";
export { readSettingTexts, type Setting, type SettingSources, SettingsReader, type SettingTexts, settingLines } from "./settings.ts";
export { TaskGroup } from "./task-group.ts";
