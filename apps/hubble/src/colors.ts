import { flowpb } from "@cilium-ts/observer";
import pico from "picocolors";

/** What is coloured, by what it is. */
export interface Colors {
  host(text: string): string;
  port(text: string): string;
  identity(text: string): string;
  verdict(verdict: number, text: string): string;
  auth(type: number, text: string): string;
}

export function colorsFor(enabled: boolean): Colors {
  const { cyan, yellow, magenta, green, red } = pico.createColors(enabled);
  const none = (text: string): string => text;
  const verdicts: Readonly<Record<number, (text: string) => string>> = {
    [flowpb.Verdict.FORWARDED]: green,
    [flowpb.Verdict.REDIRECTED]: green,
    [flowpb.Verdict.DROPPED]: red,
    [flowpb.Verdict.ERROR]: red,
    [flowpb.Verdict.AUDIT]: yellow,
    [flowpb.Verdict.TRACED]: yellow,
    [flowpb.Verdict.TRANSLATED]: yellow,
  };
  return {
    host: cyan,
    port: yellow,
    identity: magenta,
    verdict: (verdict, text) => (verdicts[verdict] ?? none)(text),
    auth: (type, text) => (type === flowpb.AuthType.TEST_ALWAYS_FAIL ? red : green)(text),
  };
}
