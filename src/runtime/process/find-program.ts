// Finds the file of a program by its name.
import { access, constants, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";

/** The first executable file of that name in `folders`, the entries of a PATH; null: none. Empty entries are skipped. */
export async function findProgram(name: string, folders: readonly string[]): Promise<string | null> {
  for (const folder of folders) {
    if (folder !== "" && (await isProgram(join(folder, name)))) return join(folder, name);
  }
  return null;
}

/** The program that a command line starts in the folder `cwd` with `path` as its PATH; null: it is not found. */
export async function findCommand(command: string, cwd: string, path: string): Promise<string | null> {
  if (!command.includes("/")) return findProgram(command, path.split(delimiter));
  const whole = isAbsolute(command) ? command : join(cwd, command);
  return (await isProgram(whole)) ? whole : null;
}

export async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
