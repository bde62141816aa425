// Generates the protocol code beside the committed one and compares: a forgotten `npm run generate` fails the gate.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./gate.js";

const folder = mkdtempSync(join(tmpdir(), "plumbline-generated-"));
try {
  const template = readFileSync(join(root, "buf.gen.yaml"), "utf8").replace("out: proto/gen", `out: ${folder}/gen`);
  writeFileSync(join(folder, "buf.gen.yaml"), template);
  check("buf", ["generate", "--template", join(folder, "buf.gen.yaml")], "buf generate failed");
  check("diff", ["-r", join(folder, "gen"), join(root, "proto/gen")], "proto/gen is stale: run npm run generate");
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function check(command, arguments_, problem) {
  const { status, stdout, stderr } = spawnSync(command, arguments_, { cwd: root, encoding: "utf8" });
  if (status === 0) return;
  process.stderr.write(`${problem}\n${stdout.slice(0, 2_000)}${stderr.slice(0, 2_000)}`);
  process.exitCode = 1;
}
