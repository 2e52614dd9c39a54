/* The browser's own notices of calls, while the page is in the background. */

export function wantNotices() {
  if ("Notification" in window && Notification.permission === "default") Notification.requestPermission();
}

/** Tell of a call that rings; returns what takes the notice back. */
export function noticeOf(call) {
  const allowed = "Notification" in window && Notification.permission === "granted";
  if (!allowed || !document.hidden) return () => {};
  const notice = new Notification(`${call.peer.name} is calling`, { tag: call.id, icon: "/app/icon.svg" });
  notice.onclick = () => {
    window.focus();
    notice.close();
  };
  return () => notice.close();
}
