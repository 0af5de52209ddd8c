// What tests of views start from: a space to draw in, and a status to draw.

import { symbolsFor } from "../../src/runtime/text/paint.ts";
import type { SyncStatus } from "../../src/tui/status/status-lines.ts";
import { type Line, lineText, type View } from "../../src/tui/terminal/line.ts";
import { sampleSync } from "../api/sample-config.ts";

export function viewOf(width: number, style: { color?: boolean; unicode?: boolean } = {}): View {
  const whole = { color: style.color ?? true, unicode: style.unicode ?? true };
  return { width, style: whole, symbols: symbolsFor(whole) };
}

/** As a terminal shows it without colour. */
export function textOf(lines: readonly Line[]): string[] {
  return lines.map((line) => lineText(line).trimEnd());
}

export function sampleStatus(over: Partial<SyncStatus> = {}): SyncStatus {
  return sampleSync({
    config_path: "/home/me/.mountaineer/config.toml",
    generation: 3,
    last_sync: null,
    ...over,
  });
}

/** An ISO time that is this wall time here. */
export function localIso(hours: number, minutes: number, seconds: number): string {
  return new Date(2026, 0, 5, hours, minutes, seconds).toISOString();
}
