// VS Code's sandbox of a program as ours, which lets a program read and write no folder that is not named.
import type { ConfigTable } from "../config/edit/edit-value.ts";
import { isWithin } from "../config/values/paths.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { PLATFORM } from "./client.ts";

/** `cwd`: the folder in which the program starts; null: the user's home. `problem`: what ours cannot hold; null: nothing. */
export function sandboxSettings(
  sandbox: JsonMembers,
  cwd: string | null,
  absolute: (path: string) => string,
): { readonly table: ConfigTable; readonly problem: string | null } {
  const { filesystem, network, ...others } = sandbox;
  const listed = (table: unknown, key: string): readonly string[] => {
    const list = objectOf(table)[key];
    return Array.isArray(list) ? list.filter((one) => typeof one === "string") : [];
  };
  const paths = (key: string) =>
    listed(filesystem, key).map((path) => (path.startsWith("~/") ? path : absolute(path)));
  const [write, read] = [paths("allowWrite"), [...(cwd === null ? [] : [cwd]), ...paths("allowRead")]];
  const denied = [
    ...paths("denyRead").map((path) => [path, [...read, ...write]] as const),
    ...paths("denyWrite").map((path) => [path, write] as const),
  ];
  const isOpen = denied.find(([path, folders]) => folders.some((folder) => isWithin(path, folder)));
  const problem =
    PLATFORM !== "linux"
      ? "a sandbox holds a program on Linux only"
      : listed(network, "allowedDomains").length > 0
        ? "its sandbox allows some hosts; ours allows all or none"
        : isOpen !== undefined
          ? `its sandbox denies ${isOpen[0]}, which is in a folder that it allows`
          : Object.keys(others).length > 0
            ? `the ${Object.keys(others).join(", ")} of its sandbox ${Object.keys(others).length === 1 ? "has" : "have"} no counterpart here`
            : null;
  return {
    table: {
      kind: "bubblewrap",
      ...(read.length === 0 ? {} : { read }),
      ...(write.length === 0 ? {} : { write }),
    },
    problem,
  };
}
