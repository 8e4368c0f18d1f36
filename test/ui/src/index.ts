export { parseUi, ui } from "./ui.ts";
