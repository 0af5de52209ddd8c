// The rules between the keys of a backend's sandbox.
import type { Finding, KeyPath } from "../values/mistakes.ts";
import { expandPath, isWithin, parsePath } from "../values/paths.ts";
import { asTable, type RulePlace, surplus, type Table, wrong } from "./tables.ts";

/** The system's folders that every sandbox shows, read-only. */
const SYSTEM_FOLDERS = ["/usr", "/etc", "/opt", "/nix", "/bin", "/sbin", "/lib", "/tmp"];

/** Of one backend's table; `at` leads to it. */
export function sandboxFindings(backend: Table, at: KeyPath, place: RulePlace): Finding[] {
  const sandbox = asTable(backend["sandbox"]);
  if (sandbox === null) return [];
  const path = [...at, "sandbox"];
  if (backend["url"] !== undefined || backend["type"] === "streamable-http") {
    const hint = "a server that is elsewhere runs nothing here";
    return [surplus(path, "`sandbox` beside `url`", hint)];
  }
  if (place.hasSandbox === false) {
    const hint =
      "bubblewrap needs Linux's namespaces, and macOS has nothing of the kind that could be relied on";
    return [surplus(path, "`sandbox` on macOS", hint)];
  }
  const findings: Finding[] = [];
  const shown: string[] = [];
  for (const key of ["read", "write"]) {
    const paths: readonly unknown[] = Array.isArray(sandbox[key]) ? sandbox[key] : [];
    for (const [index, text] of paths.entries()) {
      if (typeof text !== "string" || !parsePath(text).ok) continue;
      const folder = expandPath(text, place.userHome);
      shown.push(folder);
      if (!isWithin(folder, place.home)) continue;
      const found = "a path in Mountaineer's own folder";
      const hint = "no sandbox shows it: the configuration and the secrets are there";
      findings.push(wrong([...path, key, index], found, "another path", hint));
    }
  }
  const { cwd } = backend;
  if (typeof cwd === "string" && parsePath(cwd).ok) {
    const folder = expandPath(cwd, place.userHome);
    const isShown =
      folder === place.userHome || [...shown, ...SYSTEM_FOLDERS].some((each) => isWithin(folder, each));
    if (!isShown) {
      const found = "a folder that its sandbox does not show";
      const hint = "name it in `sandbox.read` or `sandbox.write`";
      const expected = "a folder in the sandbox";
      findings.push(wrong([...at, "cwd"], found, expected, hint));
    }
  }
  return findings;
}
