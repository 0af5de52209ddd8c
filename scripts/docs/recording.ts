// Plays the demo and draws what it says, line by line as it comes, into an image for the README:
// bin/with-node scripts/docs/recording.ts (needs samba, rclone and FUSE; about half a minute).
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const ROOT = resolve(import.meta.dirname, "../..");
const IMAGE = join(ROOT, "docs/images/demo.svg");
const FONT_PX = 13;
const CHARACTER_PX = 7.9;
const LINE_PX = 20;
const MARGIN_PX = 18;
const STYLE = `text{font:${FONT_PX}px ui-monospace,Menlo,Consolas,monospace;fill:#d8dee9;white-space:pre}`;

export interface SpokenLine {
  readonly text: string;
  /** Since the beginning. */
  readonly atMs: number;
}

/** Each line is hidden until its time; where nothing moves, all are there. */
export function recordingSvg(lines: readonly SpokenLine[]): string {
  const columns = Math.max(...lines.map(({ text }) => text.length));
  const width = Math.ceil(columns * CHARACTER_PX) + 2 * MARGIN_PX;
  const height = lines.length * LINE_PX + 2 * MARGIN_PX;
  const texts = lines.map(({ text, atMs }, index) => {
    const y = MARGIN_PX + (index + 1) * LINE_PX - 5;
    const colour = text.startsWith("✓") ? ` style="fill:#a3d9a5"` : "";
    const hidden = `<set attributeName="opacity" to="0" begin="0s" dur="${(atMs / 1000).toFixed(2)}s"/>`;
    return `<text x="${MARGIN_PX}" y="${y}"${colour}>${escaped(text)}${atMs < 10 ? "" : hidden}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" xml:space="preserve">`,
    `<title>mountaineer demo --script</title><style>${STYLE}</style>`,
    `<rect width="100%" height="100%" rx="8" fill="#1d2330"/>`,
    ...texts,
    "</svg>",
    "",
  ].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

async function record(): Promise<SpokenLine[]> {
  const args = ["demo", "--script", "--driver", "smb"];
  const child = spawn(join(ROOT, "bin/mountaineer"), args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((settle) => child.once("close", settle));
  const startedAtMs = performance.now();
  const lines: SpokenLine[] = [{ text: `$ mountaineer ${args.join(" ")}`, atMs: 0 }];
  for await (const text of createInterface({ input: child.stdout })) {
    lines.push({ text, atMs: performance.now() - startedAtMs });
  }
  const code = await ended;
  if (code !== 0) throw new Error(`the demo ended with ${code}; the image is as it was`);
  return lines;
}

if (process.argv[1] === import.meta.filename) await writeFile(IMAGE, recordingSvg(await record()));
