// Moves a file that cannot be used to a name that is free.
import { rename } from "node:fs/promises";
import { entryExists } from "./durable-file.ts";

/**
 * Resolves with its new path. The home lock keeps others from taking that name meanwhile. Rejects with the system's
 * error.
 */
export async function setAside(path: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replaceAll(":", "-");
  for (let attempt = 1; ; attempt++) {
    const aside = `${path}.corrupt-${time}${attempt === 1 ? "" : `-${attempt}`}`;
    if (await entryExists(aside)) continue;
    await rename(path, aside);
    return aside;
  }
}
