// Why a mount cannot be read on macOS: a privacy permission of the system, or rights on the server.

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
