// Counts the code lines of src, without blank lines and comments, and its files, in the checkout or at a commit.
// Usage: bin/with-node scripts/count.ts [COMMIT] [PART-OF-A-PATH]
import { spawnSync } from "node:child_process";

const [commit, part = ""] = process.argv.slice(2);
const LARGEST_OUTPUT = 256 * 1024 * 1024;

const where = commit === undefined ? ["--untracked", ""] : ["", commit];
const args = ["grep", "--null", "-I", ...where, "--", "src/*.ts", "src/*.tsx"];
const { stdout, stderr, status } = spawnSync("git", args, { encoding: "utf8", maxBuffer: LARGEST_OUTPUT });
if (status !== 0) throw new Error(stderr);

const files = new Set<string>();
let isInComment = false;
let lines = 0;
for (const found of stdout.split("\n")) {
  const [path = "", content = ""] = found.split("\0");
  if (!path.includes(part) || path === "") continue;
  if (!files.has(path)) isInComment = false;
  files.add(path);
  const text = content.trim();
  if (isInComment) isInComment = !text.includes("*/");
  else if (text.startsWith("/*")) isInComment = !text.includes("*/");
  else if (text !== "" && !text.startsWith("//")) lines += 1;
}
process.stdout.write(`${lines} code lines in ${files.size} files\n`);
