// Who may import what, and who may write to a cluster (the layout's rules), checked over the text of every file.
// usage: node tools/check-boundaries.js [folder]
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./gate.js";

const importRules = [
  { in: /^hub\//, never: /^#(agent|cli|test)\//, because: "the hub knows neither the agent nor its users' tools" },
  { in: /^agent\//, never: /^#(hub|cli|test)\//, because: "the agent must run with the hub's code absent" },
  { in: /^proto\//, never: /^#(hub|agent|cli|test|lib)\//, because: "the contract depends on nobody" },
  { in: /^lib\//, never: /^#(hub|agent|cli|test|proto)\//, because: "lib holds no product word" },
  {
    in: /^(?!hub\/publish\/|agent\/pull\/|test\/).*/,
    never: /^@nats-io\/transport/,
    because: "only hub/publish and agent/pull speak NATS",
  },
  {
    in: /^(?!agent\/cluster\/|hub\/(?:charts|git)\/|test\/).*/,
    never: /^undici$/,
    because: "only agent/cluster, hub/git and hub/charts hold connections of their own",
  },
  {
    in: /^(?!agent\/cluster\/|test\/).*/,
    never: /^@kubernetes\/client-node$/,
    because: "only agent/cluster talks to Kubernetes",
  },
  {
    in: /^agent\//,
    never: /^(zod|hono|@peculiar\/x509)/,
    because: "it costs the agent memory it promises not to use",
    except: /^agent\/enrol\//,
  },
];

// What is written for Applications goes through the writer of their ServiceAccount, within this cluster's limits.
const textRules = [
  {
    in: /^agent\/(?!cluster\/|authority\/|state\/|enrol\/)/,
    never: /\bcluster\s*\??\.\s*(?:apply|create|replace|patch|delete|as)\s*\(/g,
    because:
      "only a Writer (context.writer, writerOf) writes for Applications, and agent/state the agent's own Secrets",
  },
  {
    in: /^agent\/(?:apply|drift|engine|health)\/(?!engine\.ts$)/,
    never: /import[^;]*[{,]\s*(?:type\s+)?(?:Cluster|openWriter)\b[^;]*from/g,
    because: "only agent/engine/engine.ts holds what can write: take the type ClusterReader, or a Writer",
  },
];

const imports = /(?:from|import)\s*\(?\s*["']([^"']+)["']/g;
const checked = process.argv[2] ?? root;
const problems = [];
for (const file of sources(checked)) {
  // A test may stand one real part against another.
  if (file.endsWith(".test.ts")) continue;
  const text = readFileSync(join(checked, file), "utf8");
  for (const [, imported] of text.matchAll(imports))
    for (const rule of importRules)
      if (rule.in.test(file) && rule.never.test(imported) && !rule.except?.test(file))
        problems.push(`${file} imports ${imported}: ${rule.because}`);
  for (const rule of textRules)
    if (rule.in.test(file))
      for (const { index, 0: found } of text.matchAll(rule.never))
        problems.push(`${file}:${lineAt(text, index)} says ${found.replaceAll(/\s+/g, " ")}: ${rule.because}`);
}
if (problems.length > 0) {
  process.stderr.write(`${problems.join("\n")}\n`);
  process.exitCode = 1;
}

function lineAt(text, index) {
  return text.slice(0, index).split("\n").length;
}

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (/^(node_modules|dist|gen|corpus|\..*)$/.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith(".ts")) yield relative(checked, path);
  }
}
