// Sets a file aside that cannot be used, under a name that nothing has.
import { rename } from "node:fs/promises";
import { entryExists } from "./durable-file.ts";

/** Where it is now. The home lock sees to it that nothing gets that name meanwhile. Rejects with the system's error. */
export async function setAside(path: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replaceAll(":", "-");
  for (let attempt = 1; ; attempt++) {
    const aside = `${path}.corrupt-${time}${attempt === 1 ? "" : `-${attempt}`}`;
    if (await entryExists(aside)) continue;
    await rename(path, aside);
    return aside;
  }
}
