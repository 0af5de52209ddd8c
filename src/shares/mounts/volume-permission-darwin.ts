// Why a mount cannot be read on macOS: a privacy permission of the system, or rights on the server.

/** Whether launchd started this process: `XPC_SERVICE_NAME` names the service, and is "0" for programs of a terminal. */
export function isUnderLaunchd(
  environment: Readonly<Record<string, string | undefined>>,
  parentPid: number,
): boolean {
  const service = environment["XPC_SERVICE_NAME"];
  return parentPid === 1 && service !== undefined && service !== "" && service !== "0";
}

/** Returns the explanation of an errno of `readdir` that means a missing permission; null for any other errno. */
export function meaningOfDenied(errno: string, path: string, underLaunchd: boolean) {
  if (errno !== "EPERM" && errno !== "EACCES") return null;
  // EACCES is the server's own refusal. A program in a terminal has the terminal's permission.
  if (errno === "EPERM" && underLaunchd) {
    return {
      title: `macOS does not let mountaineer read ${path}: the permission for network volumes is missing`,
      hint: "System Settings → Privacy & Security → Files and Folders: allow Network Volumes for mountaineer (or node).",
    };
  }
  return {
    title: `The server does not let this user read ${path}`,
    hint: "Check the rights of this user on the share.",
  };
}
