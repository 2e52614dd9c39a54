/* A scrolling page that stands for the app's feed: a call goes on while it is read. */

import { $, dress, make } from "./dom.js";

const AUTHORS = ["Ines Ibarra", "Jonas Jansen", "Kira Kaya", "Liam Lind", "Mara Moreau", "Nils Novak"];
const TEXTS = [
  "First light over the harbour. Worth getting up for.",
  "Three hours of rehearsal, one good take.",
  "We planted the last of the tomatoes today.",
  "New in the shop: the small lamp everybody asked for.",
  "Trail was muddy, view was not.",
  "Baked the same bread twice. The second one rose.",
];
const AT_ONCE = 8;
const MOST = 400;

let count = 0;

export function openFeed() {
  const cards = $("feed-cards");
  if (count === 0) more();
  cards.onscroll = () => {
    if (cards.scrollTop + cards.clientHeight > cards.scrollHeight - 600) more();
  };
}

function more() {
  const posts = Array.from({ length: Math.min(AT_ONCE, MOST - count) }, () => post(count++));
  $("feed-cards").append(...posts);
}

function post(n) {
  const name = AUTHORS[n % AUTHORS.length];
  const avatar = make("span", { className: "avatar", "aria-hidden": "true" });
  dress(avatar, name, name);
  const title = make("strong", { text: name, id: `post-${n}` });
  const article = make("article", {
    className: "post",
    tabindex: "0",
    "aria-labelledby": `post-${n}`,
    "aria-posinset": String(n + 1),
    "aria-setsize": String(MOST),
    children: [make("header", { children: [avatar, title] }), picture(n)],
  });
  article.append(make("p", { text: TEXTS[(n * 5 + Math.floor(n / 6)) % TEXTS.length] }));
  return article;
}

function picture(n) {
  const canvas = make("canvas", { className: "picture", width: "560", height: "315", "aria-hidden": "true" });
  const paint = canvas.getContext("2d");
  const hue = (n * 47) % 360;
  const sky = paint.createLinearGradient(0, 0, 0, 315);
  sky.addColorStop(0, `hsl(${hue} 60% 72%)`);
  sky.addColorStop(1, `hsl(${(hue + 50) % 360} 65% 86%)`);
  paint.fillStyle = sky;
  paint.fillRect(0, 0, 560, 315);
  for (let layer = 0; layer < 3; layer++) {
    paint.fillStyle = `hsl(${(hue + 200) % 360} 30% ${52 - layer * 14}%)`;
    paint.beginPath();
    paint.moveTo(0, 315);
    for (let x = 0; x <= 560; x += 8) {
      const y = 190 + layer * 38 + 26 * Math.sin(x / (70 - layer * 13) + n + layer * 2);
      paint.lineTo(x, y);
    }
    paint.lineTo(560, 315);
    paint.fill();
  }
  return canvas;
}
