// Shares whose `driver` is one that is gone. The value has no effect; deleted with the first release.
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { ConfigFile } from "../schema/schema.ts";
import { FORMER_DRIVERS } from "../schema/share-schema.ts";
import type { ConfigWarning } from "../snapshot.ts";
import { type KeyPath, pathText } from "../values/mistakes.ts";

/** `lineOf` is called only if there is such a share. */
export async function formerDriverWarnings(
  { shares }: ConfigFile,
  lineOf: (key: KeyPath) => Promise<number>,
): Promise<readonly ConfigWarning[]> {
  const found: ConfigWarning[] = [];
  for (const [index, { name, driver }] of shares.entries()) {
    if (!FORMER_DRIVERS.some((one) => one === driver)) continue;
    const key = ["shares", index, "driver"];
    found.push({
      path: pathText(key),
      text: `"${driver}" (line ${await lineOf(key)}) has no effect: SMB shares are mounted in one way`,
      hint: shellCommand`mountaineer config unset ${`shares.${JSON.stringify(name)}.driver`}`,
    });
  }
  return found;
}
