import { dashes, lineWidths, type Theme } from "./draw.ts";
import { type Box, cardHeight, cardWidth } from "./layout.ts";
import { policyColour, policyDirections, policyFills, policyRing, policyText } from "./policy-marks.ts";
import type { CardShape, EdgeShape, Scene } from "./scene.ts";

const margin = 40;

/** The whole map as a picture that can be enlarged without end. */
export function sceneToSvg({ islands, edges, cards }: Scene, { x, y, width, height }: Box, theme: Theme): string {
  const [left, top, right, bottom] = [x - margin, y - margin, width + margin * 2, height + margin * 2].map(Math.round);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${left} ${top} ${right} ${bottom}" width="${right}" height="${bottom}" font-family="system-ui, sans-serif">`,
    `<rect x="${left}" y="${top}" width="${right}" height="${bottom}" fill="${theme.surface}"/>`,
  ];
  for (const island of islands) {
    parts.push(
      `<rect x="${island.x}" y="${island.y}" width="${island.width}" height="${island.height}" rx="14" fill="${theme.island}" stroke="${theme.border}"/>`,
      text(island.x + 16, island.y + 28, 16, 600, theme.muted, island.name.trim()),
    );
  }
  for (const edge of edges) parts.push(edgeMarkup(edge, theme));
  for (const card of cards) parts.push(...cardMarkup(card, theme));
  parts.push("</svg>");
  return parts.join("\n");
}

function edgeMarkup({ state, from, to, bendFrom, bendTo, pair }: EdgeShape, theme: Theme): string {
  const colour = theme.states[state];
  const dash = dashes[state].length === 0 ? "" : ` stroke-dasharray="${dashes[state].join(" ")}"`;
  const curve = `M${from.x} ${from.y}C${bendFrom.x} ${bendFrom.y} ${bendTo.x} ${bendTo.y} ${to.x - 6} ${to.y}`;
  const head = `M${to.x} ${to.y}l-9 -5v10z`;
  const ports = pair.links.map(({ port, protocol }) => `${port} ${protocol}`).join(", ");
  return `<g><title>${escapeMarkup(`${state}: ${ports}`)}</title><path d="${curve}" fill="none" stroke="${colour}" stroke-width="${lineWidths[state]}"${dash}/><path d="${head}" fill="${colour}"/></g>`;
}

function cardMarkup(card: CardShape, theme: Theme): string[] {
  const { x, y, title, subtitle, labels, requests, chips, hasDrops } = card;
  const border = hasDrops ? theme.states.dropped : theme.border;
  const markup = [
    `<rect x="${x}" y="${y}" width="${cardWidth}" height="${cardHeight}" rx="9" fill="${theme.card}" stroke="${border}" stroke-width="${hasDrops ? 2 : 1}"/>`,
    text(x + 14, y + 25, 15, 600, theme.text, title),
    text(x + 14, y + 42, 12, 400, theme.muted, subtitle),
    text(x + 14, y + 58, 11, 400, theme.muted, labels),
    text(x + 14, y + 105, 11, 400, theme.muted, requests),
    ...policyMarkup(card, theme),
  ];
  let left = x + 14;
  for (const chip of chips) {
    const width = chip.length * 6.4 + 12;
    markup.push(
      `<rect x="${left}" y="${y + 66}" width="${width}" height="19" rx="5" fill="${theme.island}"/>`,
      text(left + 6, y + 79.5, 11, 400, theme.text, chip),
    );
    left += width + 6;
  }
  return markup;
}

function policyMarkup({ x, y, service: { policy } }: CardShape, theme: Theme): string[] {
  if (policy === null) return [];
  const marks = policyDirections.map(({ direction, text: word, x: left }) => {
    const colour = policyColour(theme, policy[direction]);
    const paths = `<path d="${policyRing}" fill="none" stroke="${colour}" stroke-width="1.6"/><path d="${policyFills[policy[direction]]}" fill="${colour}"/>`;
    return `<g transform="translate(${x + left} ${y + 101})">${paths}${text(8, 4, 11, 400, theme.text, word)}</g>`;
  });
  return [`<g><title>${policyText(policy)}</title>`, ...marks, "</g>"];
}

function text(x: number, y: number, size: number, weight: number, colour: string, content: string): string {
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${colour}">${escapeMarkup(content)}</text>`;
}

function escapeMarkup(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
