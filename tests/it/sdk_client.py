"""Closes meetings on the stand-in with DingTalk's official SDK, and prints the results as one line of JSON.

usage: sdk_client.py HOST:PORT
"""

import json
import sys

from alibabacloud_dingtalk.conference_1_0 import models as conference_models
from alibabacloud_dingtalk.conference_1_0.client import Client as ConferenceClient
from alibabacloud_dingtalk.oauth2_1_0 import models as oauth2_models
from alibabacloud_dingtalk.oauth2_1_0.client import Client as OAuth2Client
from alibabacloud_tea_openapi import models as open_api_models
from alibabacloud_tea_util import models as util_models

config = open_api_models.Config(protocol="http", region_id="central", endpoint=sys.argv[1])
token = (
    OAuth2Client(config)
    .get_access_token(oauth2_models.GetAccessTokenRequest(app_key="key", app_secret="secret"))
    .body.access_token
)
client = ConferenceClient(config)
headers = conference_models.CloseVideoConferenceHeaders(x_acs_dingtalk_access_token=token)


def close(conference_id, union_id):
    request = conference_models.CloseVideoConferenceRequest(union_id=union_id)
    try:
        answer = client.close_video_conference_with_options(
            conference_id, request, headers, util_models.RuntimeOptions(autoretry=False)
        )
        return {"closed": answer.body.code, "cause": answer.body.cause}
    except Exception as error:  # the test checks what the SDK raises
        return {"exception": getattr(error, "code", repr(error))}


print(
    json.dumps(
        {
            "open": close("open", "host"),
            "again": close("open", "host"),
            "guest": close("other", "guest"),
            "trouble": close("trouble", "host"),
        }
    )
)
