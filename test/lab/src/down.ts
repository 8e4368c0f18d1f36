import { demoLab } from "./commands.ts";
import { removeLab } from "./remove-lab.ts";

/** Ends what `up` started, and what an `up` that was cut short left behind. */
export async function down(): Promise<number> {
  await removeLab(demoLab);
  return 0;
}
