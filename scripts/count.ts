// Counts the code lines of src, without blank lines and comments, its files, and the words of docs, in the checkout or at a commit.
// Usage: bin/with-node scripts/count.ts [COMMIT] [PART-OF-A-PATH]
import { spawnSync } from "node:child_process";

const [commit, part = ""] = process.argv.slice(2);
const LARGEST_OUTPUT = 256 * 1024 * 1024;

const where = commit === undefined ? ["--untracked", ""] : ["", commit];

function linesOf(option: "--null" | "-h", ...paths: readonly string[]): string {
  const args = ["grep", option, "-I", ...where, "--", ...paths];
  const { stdout, stderr, status } = spawnSync("git", args, { encoding: "utf8", maxBuffer: LARGEST_OUTPUT });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

const files = new Set<string>();
let isInComment = false;
let lines = 0;
for (const found of linesOf("--null", "src/*.ts", "src/*.tsx").split("\n")) {
  const [path = "", content = ""] = found.split("\0");
  if (!path.includes(part) || path === "") continue;
  if (!files.has(path)) isInComment = false;
  files.add(path);
  const text = content.trim();
  if (isInComment) isInComment = !text.includes("*/");
  else if (text.startsWith("/*")) isInComment = !text.includes("*/");
  else if (text !== "" && !text.startsWith("//")) lines += 1;
}
const words = linesOf("-h", "docs/*.md").trim().split(/\s+/).length;
process.stdout.write(`${lines} code lines in ${files.size} files; ${words} words in docs\n`);
