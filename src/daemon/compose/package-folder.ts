// Finds the folder of a plugin or bundle when a server of it starts.
import { join } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";

/** Finds the folder that `[backends.NAME].package` names. Rejects with `client_unreadable` if the server may not start. */
export function packageFolders(userHome: string, environment: Readonly<Record<string, string | undefined>>) {
  return async (named: string): Promise<string> => {
    const [kind = "", name = ""] = named.split(/:(.*)/);
    // Loaded when a server needs it: most homes have none.
    if (kind === "bundle") {
      const { bundlesFolder, folderDigest } = await import("../../clients/bundle.ts");
      const folder = join(bundlesFolder(userHome), name);
      if (name.endsWith(`-${await folderDigest(folder)}`)) return folder;
      throw refusal(`the files in ${folder} are not those of the bundle`, "import the bundle again");
    }
    const { pluginFolder } = await import("../../clients/plugins.ts");
    const folder = await pluginFolder(named, { userHome, environment, folder: userHome });
    if (folder !== null) return folder;
    const hint = `${shellCommand`mountaineer backends remove NAME`} removes the server`;
    throw refusal(`the plugin ${name} of ${kind} is not installed, or not enabled`, hint);
  };
}

function refusal(message: string, hint: string): MountaineerError {
  return new MountaineerError("client_unreadable", message, { hint });
}
